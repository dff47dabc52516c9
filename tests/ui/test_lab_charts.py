"""Figures and table of the lab hold the numbers of the results."""

from __future__ import annotations

import pytest

from sqrtscale.lab import RIGHT, weak_error
from sqrtscale.lab.stored import shipped, shown_steps
from sqrtscale.ui import lab_charts, lab_table


def stored(**wanted):
    """The result of the package with those settings, else the usual ones."""
    wanted = {"algorithm": "adam", "problem": "quadratic", "noise": "gauss", "convention": "torch", "rule": RIGHT} | wanted
    (result,) = [each.outcome for each in shipped() if each.outcome.experiment.betas[-1:] in ((), (0.98,))
                 and all(getattr(each.outcome.experiment, name) == value for name, value in wanted.items())]
    return result


def named(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_courses_and_how_far_they_are_from_the_sde():
    outcome = stored()
    figure = lab_charts.courses(outcome, "E x")
    of = {course.h: course for course in outcome.courses if course.test_function == "E x"}
    (sde,) = named(figure, "SDE")
    assert tuple(sde.y) == of[None].values
    for name, h in zip(("η", "η/2", "η/4"), shown_steps(outcome), strict=True):
        above, below = named(figure, name)
        assert tuple(above.y) == of[h].values and tuple(above.x) == of[h].times
        level = next(level for level in outcome.levels if level.h == h and level.test_function == "E x")
        assert below.y[-1] == pytest.approx(level.error, abs=2e-5)  # paired and stored errors agree but for the digits stored
        assert below.error_y.array[-1] == pytest.approx(1.96 * level.standard_error)
    far = [abs(named(figure, name)[1].y[-1]) for name in ("η", "η/2", "η/4")]
    assert far[0] / far[1] == pytest.approx(4, rel=0.15) == far[1] / far[2]  # a quarter of the batch, a quarter of the error


def test_a_band_is_the_interval_of_the_mean():
    outcome = stored()
    band = lab_charts.courses(outcome, "E x^2").data[0]
    sde = next(course for course in outcome.courses if course.h is None and course.test_function == "E x^2")
    last = len(sde.times) - 1
    assert (band.y[last + 1] - band.y[last]) / 2 == pytest.approx(1.96 * sde.standard_errors[-1])


def test_errors_over_beta2_with_their_slope_and_the_marks():
    outcome, wrong = stored(), [stored(rule="linear lr")]
    figure = lab_charts.errors(outcome, lab_charts.marks(0.01, 4), wrong)
    (line,) = named(figure, "E x")
    levels = [level for level in outcome.levels if level.test_function == "E x"]
    assert list(line.x) == [level.one_minus_beta2 for level in levels]
    assert list(line.y) == [abs(level.error) for level in levels]
    (guide,) = named(figure, "slope 1")
    assert guide.y[-1] / guide.y[0] == pytest.approx(guide.x[-1] / guide.x[0])
    assert [set(named(figure, name)[0].x) for name in ("you are here", "κ = 4 times here")] == [{0.01}, {0.04}]
    (grey,) = named(figure, "E x, linear lr")
    assert 1 not in [level.kappa for level in wrong[0].levels if level.one_minus_beta2 in grey.x]


def test_what_is_lost_in_noise_is_hollow_and_another_predicted_slope_is_drawn():
    outcome = stored(algorithm="rmsprop", noise="student:3")
    figure = lab_charts.errors(outcome)
    assert named(figure, "slope 1") and named(figure, "slope 0.5")
    for name in outcome.test_functions:
        (line,) = named(figure, lab_charts.LABELS[name])
        levels = [level for level in outcome.levels if level.test_function == name]
        assert [symbol == "circle" for symbol in line.marker.symbol] == [level.is_clear for level in levels]


@pytest.mark.parametrize("one_minus_beta2, kappa, names", [
    (0.01, 1, ["you are here"]), (0.3, 4, ["you are here"]), (0.01, 0.25, ["you are here", "κ = 0.25 times here"])])
def test_no_mark_where_the_rule_has_no_number(one_minus_beta2, kappa, names):
    assert [mark.name for mark in lab_charts.marks(one_minus_beta2, kappa)] == names


def test_what_is_read_off_is_the_level_itself_and_goes_on_by_the_slope():
    outcome = stored()
    level = max((level for level in outcome.levels if level.test_function == "E x"), key=lambda level: level.h)
    assert lab_charts.read_off(outcome, "E x", level.one_minus_beta2) == (pytest.approx(abs(level.error)), False)
    assert lab_charts.read_off(outcome, "E x", 2 * level.one_minus_beta2) == (pytest.approx(2 * abs(level.error)), True)
    noise = weak_error(algorithm="rmsprop", betas=(0.98,), chains=512)
    assert lab_charts.read_off(noise, "E x", 0.005) is None
    assert lab_charts.read_off(stored(algorithm="signsgd"), "E x", 0.01) is None


def test_paths_are_played_to_their_end_over_the_quantiles():
    outcome = stored()
    h = shown_steps(outcome)[0]
    figure = lab_charts.paths(outcome, h)
    walked = {path.h: path for path in outcome.paths}
    assert [tuple(trace.y) for trace in figure.data[-2:]] == [walked[None].values, walked[h].values]
    lengths = [len(frame.data[0].x) for frame in figure.frames]
    assert lengths == sorted(lengths) and lengths[0] == 1 and lengths[-1] == len(walked[None].times)
    assert all(tuple(frame.traces) == (len(figure.data) - 2, len(figure.data) - 1) for frame in figure.frames)
    quantiles = {each.h: each for each in outcome.quantiles}
    drawn = [tuple(trace.y) for trace in named(figure, "the same of the algorithm")]
    assert drawn == list(quantiles[h].values)


@pytest.mark.parametrize("outcome", [each.outcome for each in shipped() if each.outcome.courses],
                         ids=lambda outcome: f"{outcome.experiment.algorithm} {outcome.experiment.problem} "
                                             f"{outcome.experiment.noise}")
def test_every_stored_result_can_be_drawn(outcome):
    for name in outcome.test_functions:
        assert len(named(lab_charts.courses(outcome, name), "η")) == 2
    assert len(lab_charts.errors(outcome).data) > len(outcome.test_functions)
    assert all(lab_charts.paths(outcome, h).frames for h in shown_steps(outcome))


def test_the_table_of_switches_says_what_was_predicted_and_what_was_measured():
    measured = lab_table.switches([each.outcome for each in shipped()], "adam")
    rows = lab_table.rows(measured)
    assert rows[0]["Switched"] == lab_table.USUAL and rows[0]["Predicted"] == "slope 1, C0 = 0"
    slope = stored().slopes["E x"]
    assert f"E x: slope {slope.slope:.2f} ({slope.low:.2f} to {slope.high:.2f})" in rows[0]["Measured"]
    by_switch = {row["Switched"]: row for row in rows}
    heavy = by_switch["heavy tails (Student's t, ν = 3)"]
    assert heavy["Predicted"] == "slope 0.5, C0 = 0" and heavy[lab_table.C0_HEAD] == "10.2 (-30.7 to 51.2): may be 0"
    for rule in ("linear learning rate", "ε left as it was", "β left as they were"):
        assert by_switch[rule]["Predicted"] == "C0 not 0" and by_switch[rule][lab_table.C0_HEAD].endswith(": not 0")


def test_without_a_variance_the_rule_alone_keeps_the_spread():
    """docs/lab.md has the same of three seeds."""
    rows = lab_table.rows(lab_table.switches([each.outcome for each in shipped()], "adam"))
    spreads = {row["Switched"].partition(", infinite")[0]: float(row["Measured"].split()[5]) for row in rows
               if row["Measured"].startswith("spread at κ = 16: ")}
    assert spreads.pop("infinite variance (stable, α = 1.5)") == pytest.approx(1, abs=0.01)
    assert len(spreads) == 3 and all(abs(spread - 1) > 0.25 for spread in spreads.values())


def test_a_number_that_is_noise_is_not_shown():
    outcome = weak_error(algorithm="rmsprop", betas=(0.98,), chains=512)
    assert outcome.slopes["E x"] is None
    assert lab_table.slope(outcome, "E x").startswith("not measurable with 512 chains (")
