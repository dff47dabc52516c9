"""A calibration that is no test of the rule ends at its branch point, by the real runner, unless it is told to go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sqrtscale import runner
from sqrtscale.plan import WARM_START, make_plan
from sqrtscale.report import NO_TEST, regimes, stopped_early
from sqrtscale.tasks import task

# After 40 steps the gradient of the language task is nearly all signal: a noise scale of about 2 samples.
PLAN = make_plan("pydoc", task("pydoc").defaults.base, 512, arms=[], seeds=3, samples=512, warm_samples=320, evaluations=2,
                 decay_form="half-life", device="cpu")


@pytest.mark.parametrize("go_on", [False, True])
def test_a_batch_far_above_the_noise_scale_ends_at_the_branch_point_unless_told_to_go_on(store, go_on):
    id = runner.submit(store, replace(PLAN, go_on=go_on))
    record = runner.wait(store, id)
    curves = store.curves(id)
    arms = curves[curves["arm"] != WARM_START]
    assert (record.state, record.outcome, record.progress) == ("DONE", "not a test", 1.0)
    assert record.answer.startswith("This run does not test the scaling")
    assert regimes(record, curves)["scaled"].high < 100
    assert arms["samples"].max() == (512 if go_on else 0)
    ends = {(run.state, run.reason) for run in record.runs if run.arm != WARM_START}
    assert ends == {("DONE", "") if go_on else ("SKIPPED", NO_TEST)}
    assert ("stopped after the warm start" in stopped_early(record)) == (NO_TEST in runner.read_log(id)) == (not go_on)
