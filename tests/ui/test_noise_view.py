"""The tails of a calibration in words and as a table: skewness beside them, also of results that do not have it."""

from __future__ import annotations

import pandas as pd
from streamlit.testing.v1 import AppTest

MEASURED = {"tail": 1.9, "tail_error": 0.1, "hill": 4.5, "hill_error": 0.2, "normality": 0.3,
            "skewness_squared": 2.25, "skewness_squared_error": 0.1}


def page(curves, in_lab) -> None:
    from sqrtscale.ui import noise_view
    noise_view._tails(curves, in_lab)


def shown(values, in_lab=True):
    curves = pd.DataFrame([("base", 0, f"{name}/head", 800, value) for name, value in values.items()],
                          columns=["arm", "seed", "metric", "samples", "value"])
    app = AppTest.from_function(page, args=(curves, in_lab), default_timeout=30).run()
    assert not app.exception
    return app.markdown[0].value, app.dataframe[0].value["Skewness"].tolist()


def test_skewness_stands_beside_the_tails_and_names_the_law():
    said, column = shown(MEASURED)
    assert column == ["1.50 (1.43 to 1.56)"]
    assert "skewness of up to 1.5" in said and "of the laws in the lab skewed is nearest" in said.lower()


def test_older_results_say_that_skewness_was_not_measured():
    said, column = shown({name: value for name, value in MEASURED.items() if not name.startswith("skewness")})
    assert column == ["not measured"]
    assert "Skewness was not measured" in said and "laplace is nearest" in said


def test_an_optimizer_that_the_lab_does_not_have_is_told_nothing_of_it():
    said, column = shown(MEASURED, in_lab=False)
    assert column == ["1.50 (1.43 to 1.56)"] and "lab" not in said.lower()
