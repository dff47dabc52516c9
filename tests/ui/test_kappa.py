"""The figure over kappa at the edges: it is drawn wherever the answer itself has numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from sqrtscale.rules import FAMILIES, FieldError, TrainingConfig, scale
from sqrtscale.ui.kappa import figure

APP = Path(__file__).resolve().parents[2] / "app.py"
edges = some.sampled_from([1e-300, 1e-8, 0.5, 1e300])
batches = some.sampled_from([1, 7, 10**6, 10**12])


def drawn(scaled):
    """(x, y) of every point that has a number."""
    return [(x, y) for trace in figure(scaled).data for x, y in zip(trace.x, trace.y, strict=True) if y is not None]


@settings(deadline=None, max_examples=40)
@given(some.sampled_from(["adamw", "composer_adamw", "sgd", "keras_rmsprop"]), edges, edges, batches, batches,
       some.sampled_from(["linear", "half-life"]), some.sampled_from(["kept", "scaled"]))
def test_it_is_drawn_for_every_answer(name, lr, small, batch, target, form, momentum_form):
    values = {"lr": lr, "weight_decay": small, "momentum": 0.9, "eps": small}
    config = TrainingConfig(name, batch, {field: values[field] for field in FAMILIES[name].fields if field in values})
    try:
        scaled = scale(config, target, form, momentum_form)
    except FieldError:
        assume(False)
    points = drawn(scaled)
    assert points and all(math.isfinite(x) and math.isfinite(y) and 1 / batch <= x <= 10**12 / batch for x, y in points)


@pytest.mark.parametrize("batch, target", [(1, 10**12), (10**12, 10**11), (10**6, 10**12), (256, 1024)])
def test_values_are_those_of_the_rule(batch, target):
    lr = next(trace for trace in figure(scale(TrainingConfig("sgd", batch, {"lr": 0.1}), target)).data)
    assert all(y == pytest.approx(0.1 * x) for x, y in zip(lr.x, lr.y, strict=True)) and max(lr.x) == pytest.approx(
        min(10**12 / batch, max(64, 2 * target / batch)), rel=0.01)


def test_a_batch_at_which_a_value_leaves_floating_point_is_a_gap():
    lr = figure(scale(TrainingConfig("sgd", 256, {"lr": 1e307}), 512)).data[0]
    assert [y is None for y in lr.y] == [x * 1e307 > 1.7976931348623157e308 for x in lr.x]
    assert None in lr.y and lr.y[0] is not None


def test_a_noise_scale_adds_its_own_lines_and_its_limit():
    """lr' = kappa sqrt(r) lr with r = (1 + b / B') / (1 + b / B); beta1 and beta2 keep their one line each."""
    base = TrainingConfig("adamw", 256, {"lr": 1e-3})
    without, drawn = (figure(scale(base, 1024), aware) for aware in (None, scale(base, 1024, noise_scale=1000.0)))
    dashed = [trace for trace in drawn.data if trace.mode == "lines" and trace.line.dash == "dash"]
    assert len(dashed) == 3 and len(drawn.data) == len(without.data) + 6  # a line and a mark for lr, eps and the weight decay
    assert all(y == pytest.approx(1e-3 * x * math.sqrt((1 + 1000 / (256 * x)) / (1 + 1000 / 256)))
               for x, y in zip(dashed[0].x, dashed[0].y, strict=True))
    [mark] = [trace for trace in drawn.data if trace.marker.symbol == "circle-open" and trace.xaxis == dashed[0].xaxis]
    assert (mark.x[0], mark.y[0]) == (4, pytest.approx(4e-3 * math.sqrt((1 + 1000 / 1024) / (1 + 1000 / 256))))
    upright = {shape.x0 for shape in drawn.layout.shapes} - {shape.x0 for shape in without.layout.shapes}
    assert upright == {1000 / 256}
    beyond = figure(scale(base, 1024), scale(base, 1024, noise_scale=1e9))
    assert len(beyond.layout.shapes) == len(without.layout.shapes)  # its limit lies outside of the picture


@pytest.mark.parametrize("link, shown", [
    ({"b1": "1024000"}, [("no number", "9.3333544e-184", "no number"), ("no number", "0.01827902", "no number")]),
    ({"b1": "256000000"}, [("no number", "no number", "no number")] * 2),  # 0.9^1e6 is no number either
    ({"b1": "2048", "opt": "rmsprop", "mom": "0.9", "mform": "scaled"},
     [("0.92", "0.92274469", "17,025"), ("0.2", "0.43046721", "882")]),
])
def test_the_page_shows_both_forms_as_far_as_they_go(link, shown):
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in link.items():
        app.query_params[name] = text
    app.session_state["How far: every field over κ"] = True
    app.run()
    assert not app.exception and not app.error
    table = next(one.value for one in app.table if "Linear" in one.value.columns)
    assert [tuple(row) for row in table[["Linear", "β^κ", "by the linear form"]].itertuples(index=False)] == shown
