"""Calibrations side by side, against values worked out by hand or from the curves themselves."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import stored
from sqlalchemy import select, update

from sqrtscale.report import comparison, html, markdown
from sqrtscale.report.comparison import JUDGED, Row, gather
from sqrtscale.report.comparison_page import cells, comparison_report
from sqrtscale.report.settings import settings
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store
from sqrtscale.store.models import Calibration, Chunk, Run
from sqrtscale.tasks import TASKS, Metric
from sqrtscale.tasks.digits import Digits

PYDOC = {"task": "pydoc", "base": TrainingConfig("adamw", 32, {"lr": 1e-3, "weight_decay": 0.1})}


@pytest.fixture
def store():
    opened = Store.open()
    yield opened
    opened.close()


def members(store, *ids):
    gathered, problems = gather(store, ids)
    assert problems == ()
    return gathered


def margin_by_hand(curves, metric="val_loss"):
    """0.01 and the standard deviation of base's end values between seeds, each the mean over the last tenth."""
    base = curves[(curves["arm"] == "base") & (curves["metric"] == metric)]
    ends = base[base["samples"] >= 0.9 * base["samples"].max()].groupby("seed")["value"].mean()
    return 0.01 + ends.std(ddof=1)


def test_the_line_of_a_calibration(store):
    (member,) = members(store, stored.calibration(store, name="mine", chosen=stored.plan(seeds=3)))
    row = Row.of(member)
    assert (row.name, row.state, row.task, row.size, row.optimizer) == ("mine", "DONE", "digits", "tiny", "Adam")
    assert (row.base_batch, row.target_batch, row.kappa, row.seeds) == (8, 64, 8, 3)
    assert (row.lr, row.scaled_lr) == (2e-3, pytest.approx(2e-3 * math.sqrt(8)))
    # Every point of scaled lies 0.01 above base's of the same seed, so the interval has no width.
    assert (row.difference, row.low, row.high) == pytest.approx((0.01, 0.01, 0.01))
    assert row.margin == pytest.approx(margin_by_hand(store.curves(row.id))) and row.unit == "nats per image"
    assert row.outcome == "matches" and row.noise_scale is None
    assert cells(row)["lr"] == "0.002 → 0.005657" and cells(row)["Difference at the end"] == "+0.01 (+0.01 to +0.01)"


@pytest.mark.parametrize(("state", "outcome"), [("QUEUED", ""), ("RUNNING", ""), ("CANCELLED", "matches")])
def test_a_verdict_is_told_when_it_has_ended(store, state, outcome):
    (member,) = members(store, stored.calibration(store, state))
    row = Row.of(member)
    assert (row.state, row.outcome, row.difference is None) == (state, outcome, not outcome)


def test_one_seed_has_a_difference_and_no_interval(store):
    (member,) = members(store, stored.calibration(store, chosen=stored.plan(seeds=1)))
    row = Row.of(member)
    assert row.difference == pytest.approx(0.01) and row.low is row.high is None and row.outcome == "cannot tell"
    assert cells(row)["Difference at the end"] == "+0.01"


def test_differences_in_margins_over_steps_and_epochs(store):
    compared = members(store, stored.calibration(store), stored.calibration(store, chosen=stored.plan(**PYDOC)))
    table = comparison.differences(compared, "val_loss", ["scaled", "unscaled"])
    assert list(table.groupby("place").size()) == [48, 48]  # 24 points of two arms; at 0 no step has been made
    scaled = table[table["arm"] == "scaled"]
    assert scaled["value"].to_numpy() == pytest.approx(0.01) and not scaled["low"].isna().any()
    assert table[table["arm"] == "unscaled"]["value"].to_numpy() == pytest.approx(-0.08)  # 0.22 and 0.30
    in_margins = comparison.differences(compared, "val_loss", ["scaled"], "steps", in_margins=True)
    for place, member in enumerate(compared):
        course, margin = in_margins[in_margins["place"] == place], margin_by_hand(store.curves(member.record.id))
        assert course["value"].to_numpy() == pytest.approx(0.01 / margin)
        assert course["x"].max() == 6400 / 64  # both have the same target batch
    epochs = comparison.differences(compared, "val_loss", ["scaled"], "epochs").groupby("place")["x"].max()
    assert list(epochs) == pytest.approx([6400 / 1437, 6400 / 13_000])


def test_a_step_is_of_the_arms_own_batch(store):
    chosen = stored.plan(arms=["unscaled", "svag 2"])
    (member,) = members(store, stored.calibration(store, chosen=chosen))
    ends = comparison.courses([member], "val_loss", ["base", "scaled", "svag 2"], "steps").groupby("arm")["x"].max()
    assert ends.to_dict() == {"base": 6400 / 8, "scaled": 6400 / 64, "svag 2": 4 * 6400 / 8}


def test_courses_are_mean_and_range_over_seeds_without_the_warm_start(store):
    id = stored.calibration(store, chosen=stored.plan(seeds=3))
    curves = store.curves(id)
    arm = curves[(curves["arm"] == "unscaled") & (curves["metric"] == "train_loss")].groupby("samples")["value"]
    table = comparison.courses(members(store, id), "train_loss", ["unscaled", "no such arm"])
    assert list(table["x"]) == list(arm.mean().index) and set(table["arm"]) == {"unscaled"} and set(table["seeds"]) == {3}
    for column, expected in (("value", arm.mean()), ("low", arm.min()), ("high", arm.max())):
        assert table[column].to_numpy() == pytest.approx(expected.to_numpy())
    assert comparison.courses(members(store, id), "train_loss", ["warm start"]).empty


def test_what_diverged_is_marked_and_what_is_not_finite_left_out(store):
    chosen = stored.plan()
    ended = {("linear lr", seed): ("DIVERGED", "the loss grew") for seed in (0, 1)}
    id = stored.calibration(store, chosen=chosen, measured=stored.diverged(chosen, "linear lr"), ended=ended)
    (member,) = members(store, id)
    table = comparison.courses([member], "val_loss", ["base", "linear lr"])
    assert dict(table.groupby("arm")["diverged"].first()) == {"base": False, "linear lr": True}
    assert np.isfinite(table["value"]).all()
    assert Row.of(member).outcome == "matches"


def test_metrics_are_those_that_all_have(store, monkeypatch):
    digits, pydoc = stored.calibration(store), stored.calibration(store, chosen=stored.plan(**PYDOC))
    assert list(comparison.metrics(members(store, digits))[0]) == ["val_loss", "train_loss", "val_accuracy"]
    both = members(store, digits, pydoc)
    assert comparison.metrics(both) == ({"val_loss": "Validation loss", "train_loss": "Train loss"}, ("Validation accuracy",))
    assert comparison.unit(both, "val_loss") == "each in its own unit" and comparison.unit(both[:1], JUDGED) == "nats per image"

    class Other(Digits):
        name = "other"
        metrics: ClassVar = {"val_error": Metric("Error", "share wrong", "validation", "accuracy", 0.01)}

    monkeypatch.setitem(TASKS, "other", Other())
    measured = [point.__class__(point.arm, point.seed, point.samples, {"val_error": point.values["val_loss"]})
                for point in stored.points(stored.plan())]
    other = stored.calibration(store, chosen=stored.plan(task="other"), measured=measured)
    strangers = members(store, digits, other)
    labels, left_out = comparison.metrics(strangers)
    assert list(labels) == [JUDGED] and left_out == ("Validation loss", "Train loss", "Validation accuracy", "Error")
    table = comparison.differences(strangers, JUDGED, ["scaled"], in_margins=True)
    assert list(table.groupby("place").size()) == [24, 24]  # each in the metric that its task judges


def test_arms_are_named_once_with_the_rule_first(store):
    ids = stored.calibration(store), stored.calibration(store, chosen=stored.plan(arms=["sqrt lr"]))
    assert comparison.arms(members(store, *ids)) == ("scaled", "base", "unscaled", "linear lr", "sqrt lr")


def test_what_cannot_be_shown_is_named_and_the_rest_is_there(store):
    whole, damaged, strange = (stored.calibration(store, name=name) for name in ("whole", "damaged", "strange"))
    with store._write.begin() as session:
        session.execute(update(Chunk).where(Chunk.run_id.in_(
            select(Run.id).where(Run.calibration_id == damaged))).values({Chunk.data: b"junk"}))
        session.execute(update(Calibration).where(Calibration.id == strange).values(
            {Calibration.plan: stored.plan().as_dict() | {"task": "gone"}}))
    gathered, problems = gather(store, ["nowhere", whole, "x\0y", damaged, whole, strange, "\ud800"])
    assert [member.record.name for member in gathered] == ["whole", "damaged"]
    assert [problem.split(":")[0] for problem in problems] == [
        "There is no calibration 'nowhere'", r"There is no calibration 'x\x00y'",
        f"The curves of calibration {damaged} cannot be read",
        f"Calibration {strange} cannot be shown by this version of sqrtscale", r"There is no calibration '\ud800'"]
    assert gathered[1].curves.empty and Row.of(gathered[1]).outcome == "" and math.isnan(gathered[1].margin(JUDGED))
    assert set(comparison.differences(gathered, "val_loss", ["scaled"])["place"]) == {0}


def test_settings_say_what_differs(store):
    compared = members(store, stored.calibration(store), stored.calibration(store, chosen=stored.plan(**PYDOC, target=64)))
    by_name = {setting.name: setting for setting in settings(compared)}
    assert by_name["batch size"].values == ("8 → 64", "32 → 64") and by_name["kappa"].values == ("8", "2")
    assert by_name["lr"].values == ("0.002 → 0.0056568542", "0.001 → 0.0014142136")
    assert by_name["weight_decay"].values == ("0", "0.1 → 0.14142136") and by_name["optimizer"].values == ("Adam", "AdamW")
    assert {name for name, setting in by_name.items() if not setting.differs} >= {"model", "samples a run", "torch", "executor"}
    rmsprop = stored.plan(base=TrainingConfig("rmsprop", 8, {"lr": 1e-3}))
    mixed = {setting.name: setting.values for setting in settings(members(store, stored.calibration(store), stored.calibration(
        store, chosen=rmsprop)))}
    assert mixed["beta1"] == ("0.9 → 0.2", "") and mixed["alpha"][0] == ""


def test_csv_has_every_field_with_all_digits(store, tmp_path):
    compared = members(store, stored.calibration(store, name='a, "b"'), stored.calibration(store, "QUEUED"))
    (tmp_path / "lines.csv").write_text(comparison.csv(compared))
    read = pd.read_csv(tmp_path / "lines.csv")
    assert list(read["name"]) == ['a, "b"', "digits: batch 8 → 64"] and list(read.columns) == list(Row.__dataclass_fields__)
    assert read["scaled_lr"][0] == pytest.approx(2e-3 * math.sqrt(8), rel=1e-15) and math.isnan(read["difference"][1])


def test_the_report_says_the_same(store):
    ids = [stored.calibration(store, name="<b>first</b>"), stored.calibration(store, chosen=stored.plan(target=32, seeds=3))]
    page = comparison_report(members(store, *ids))
    assert page.answer == "Scaled against base: 2 × matches."
    text, marked = html(page), markdown(page)
    assert "&lt;b&gt;first&lt;/b&gt;" in text and "<script" not in text and text.count('role="img"') == 1
    for said in ("| kappa | 8 | 4 |", "8 → 32", f"sqrtscale runs compare {' '.join(ids)}"):
        assert said in marked
    queued = comparison_report(members(store, stored.calibration(store, "QUEUED")))
    assert queued.answer == "No calibration has a verdict yet." and 'role="img"' not in html(queued)
