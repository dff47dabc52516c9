"""The page of an imported comparison, and its place among the calibrations: list, library, filters, tags, Compare, the bin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import stored

from sqrtscale.compared import ImportedArm, ImportedPlan, ImportedRun, LogFile
from sqrtscale.report import judged
from sqrtscale.store import Store

from .opening import page_at
from .uploaded import BATCHES, SHIFTS, button, read, said

NOISE_SCALE = 9000.0


def comparison(store: Store, paired: bool = False, seeds: int = 3, noise: bool = False) -> str:
    """A stored one, judged: scaled lies 0.0005 above base, linear lr 0.12; id."""
    samples = np.arange(1, 81) * 5120
    tables, runs = [], []
    for arm in BATCHES:
        for seed in range(seeds):
            values = (
                0.5 + 2 * np.exp(-samples / 60_000) + SHIFTS[arm] + np.random.default_rng([seed, len(arm)]).normal(0, 0.002, 80)
            )
            metrics = {"eval_loss": values, **({"signal": values * 0 + 1, "noise": values * 0 + NOISE_SCALE} if noise else {})}
            tables += [
                pd.DataFrame({"arm": arm, "seed": seed, "metric": metric, "samples": samples, "value": line})
                for metric, line in metrics.items()
            ]
            runs.append(ImportedRun(arm, seed, f"{arm}-{seed}", (LogFile(f"{arm}-{seed}.csv", "0" * 64, "csv"),)))
    arms = tuple(
        ImportedArm(arm, batch, "base" if arm == "base" else "control" if arm == "linear lr" else "rule")
        for arm, batch in BATCHES.items()
    )
    plan = ImportedPlan("eval_loss", arms, tuple(runs), "steps", "evaluation", paired)
    id = store.create_imported(plan, pd.concat(tables), notes=("Two points were left out.",))
    judged(store, store.record(id))
    return id


@pytest.mark.parametrize(("paired", "words", "strange"), [(True, "seed", "run"), (False, "run", "seed")])
def test_runs_are_called_seeds_only_where_they_are_paired(store, paired, words, strange):
    app = page_at("pages/results.py", id=comparison(store, paired))
    assert "train like the base settings" in said(app.success) and words in said(app.success)
    labels = [control.label for control in app.segmented_control]
    assert f"Band over {words}s" in labels and f"Single {words}s" in [toggle.label for toggle in app.toggle]
    captions = said(app.caption)
    assert f"standard deviation over 3 {words}s" in captions and f"over 3 {strange}s" not in captions
    assert ("paired by seed" in captions) == paired


def test_where_the_curves_came_from_and_how_to_repeat_it(store):
    app = page_at("pages/results.py", id=comparison(store))
    frames = [frame.value for frame in app.dataframe]
    files = next(frame for frame in frames if "SHA-256" in frame.columns)
    assert list(files["File"]) == [f"{arm}-{seed}.csv" for arm in BATCHES for seed in range(3)]
    runs = next(frame for frame in frames if "State" in frame.columns)
    assert list(runs["Run"]) == [f"{arm}-{seed}" for arm in BATCHES for seed in range(3)]
    assert "Two points were left out." in said(app.markdown) and "The logs count steps." in said(app.markdown)
    assert any("sqrtscale judge --base" in code.value for code in app.code)
    assert said(app.markdown).count("The regime was not measured") == 1


def test_it_stands_in_the_list_without_an_optimizer_and_can_be_tagged_and_deleted(store):
    id = comparison(store)
    app = page_at("pages/results.py")
    (row,) = app.dataframe[0].value.to_dict("records")
    assert (row["Task"], row["Optimizer"], row["κ"], row["Batch"], row["State"]) == ("imported", "", 4.0, "256 → 1024", "DONE")
    assert row["Verdict"] == ["✓ matches"] and row["Difference"] == pytest.approx(0.0005, abs=0.003)
    store.tag([id], "mine")
    app = page_at("pages/results.py", id=id)
    assert "mine" in said(app.markdown)
    app.text_area(key=f"note-{id}").set_value("a note")
    button(app, "Save").click().run()
    button(app, "Delete").click().run()
    assert not app.exception and store.record(id).deleted_at is not None and store.record(id).note == "a note"
    button(app, "Undo").click().run()
    assert store.record(id).deleted_at is None


def test_the_library_shows_it_where_its_noise_scale_is_known(store):
    comparison(store, noise=True)
    comparison(store)
    app = page_at("pages/results.py", view="library", tasks="imported")
    assert "2 calibrations: 2 match" in said(app.markdown)
    assert any("1 without a measured noise scale is not shown" in caption for caption in said(app.caption).splitlines())
    app = page_at("pages/results.py", view="library", optimizers="adam")
    assert "No calibration of this kind" in said(app.markdown) and not app.exception


def test_its_noise_scale_is_offered_on_the_scale_page(store):
    comparison(store, noise=True)
    app = page_at("pages/scale.py")
    app.session_state["Noise scales that were measured"] = True
    app.run()
    [label] = app.selectbox(key="measured-noise").options
    assert label.startswith("9000 (9000 to 9000): imported, batch 256, ") and not app.exception


def test_it_is_compared_with_a_calibration(store):
    ids = [comparison(store), stored.calibration(store)]
    app = page_at("pages/compare.py", ids=",".join(ids))
    assert not app.error and not app.exception
    lines = app.table[0].value
    assert [text.partition("id=")[2].rstrip(")") for text in lines["Calibration"]] == ids
    assert (lines["Task"].iloc[0], lines["κ"].iloc[0]) == ("imported", "4")


def test_judge_other_logs_begins_anew(store, navigated):
    id = comparison(store)
    app = read({"base-0.csv": b"step,loss\n1,2\n2,1\n"})
    app.switch_page("pages/results.py")
    app.query_params["id"] = id
    app.run()
    button(app, "Judge other logs").click().run()
    assert not app.exception and app.title[0].value == "Is it the same training?"
    assert app.file_uploader[0].label == "Logs of all runs" and not app.radio


@pytest.mark.parametrize("page", ["results", "calibrate", "compare"])
def test_whoever_has_curves_finds_the_way(page):
    app = page_at(f"pages/{page}.py")
    links = [link.proto.label for link in app.get("page_link")]
    assert any("curves already" in label for label in links)
