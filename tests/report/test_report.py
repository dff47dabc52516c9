"""The report that is sent to a colleague: whole, in one file, and true to what is stored."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import stored
from scipy.stats import norm, t
from sqlalchemy import event

from sqrtscale.evidence import Regime
from sqrtscale.report import (
    frontier,
    headline,
    html,
    judged,
    markdown,
    never_a_test,
    reasons,
    report,
    reported,
    stopped_early,
    verdicts,
)
from sqrtscale.report.svg import BOTTOM, HEIGHT, TOP, Block, Interval, Line, chart, forest
from sqrtscale.rules import TrainingConfig
from sqrtscale.schedules import schedule
from sqrtscale.store import Store
from sqrtscale.training.events import Measured

NAN = float("nan")


@pytest.fixture
def store():
    opened = Store.open()
    yield opened
    opened.close()


@pytest.fixture
def record(store):
    return store.get(stored.calibration(store, name="A <b>bold</b> name | with marks"))


class Reader(HTMLParser):
    """Tags, addresses and words of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_whole_by_itself_and_says_what_the_verdict_says(store, record):
    page = Reader()
    page.feed(html(reported(store, record)))
    text = " ".join(page.words)
    assert not {"script", "link", "img", "iframe", "b"} & set(page.tags) and page.addresses == []
    found = verdicts(record, store.curves(record.id))
    assert headline(record, found) in text and "A <b>bold</b> name | with marks" in text
    assert html(reported(store, record)).count('role="img"') == 5  # three metrics, the difference to base, the forest plot
    assert "sqrtscale calibrate --task digits" in text and record.id in text
    for arm in ("base", "scaled", "unscaled", "linear lr"):
        assert arm in text
    assert "on a test, executor eager with torch 2.13.0;" in text


def test_a_schedule_is_said_and_a_constant_learning_rate_is_not(store, record):
    chosen = stored.plan(schedule=schedule("cosine:0.1"))
    scheduled = store.get(stored.calibration(store, chosen=chosen))
    said = "From there on the learning rate of every arm falls along a cosine to 10% of its peak (schedule cosine:0.1)."
    for write in (html, markdown):
        text = write(reported(store, scheduled))
        assert said in text and "--schedule cosine:0.1" in text
        assert "schedule" not in write(reported(store, record))


def test_the_report_says_how_the_second_moment_of_a_noise_aware_arm_moved(store):
    chosen = stored.plan(arms=["noise-aware 40", "noise-aware schedule"])  # 8 -> 64
    text = markdown(reported(store, store.get(stored.calibration(store, chosen=chosen))))
    r = (1 + 40 / 64) / (1 + 40 / 8)
    measured = "noise-aware schedule by r = (1 + b / B') / (1 + b / B) of the noise scale b measured there"
    assert f"where noise dominates; that of {measured}, of noise-aware 40 by r = {r:.4g}." in text
    assert "second moment of an arm" not in markdown(reported(store, store.get(stored.calibration(store))))


def test_how_the_learning_rate_of_an_arm_that_follows_moved_and_how_surely_that_is_known(store):
    """Noise scales 15, 20 and 25 over the seeds, all at the end: 20 with Student's interval of three."""
    chosen = stored.plan(seeds=3, arms=["noise-aware schedule"])
    measured = [replace(point, values=point.values | (
        {"noise": (15.0, 20.0, 25.0)[point.seed], "signal": 1.0} if point.arm == "base" and point.samples == chosen.samples else
        {"lr_factor": 5.0 - point.samples / chosen.samples} if point.arm == "noise-aware schedule" else {}))
        for point in stored.points(chosen)]
    text = markdown(reported(store, store.get(stored.calibration(store, chosen=chosen, measured=measured))))
    low, high = t.interval(0.95, 2, 20, 5 / 3**0.5)
    low, high = (math.sqrt(8 * (64 + b) / (8 + b)) for b in (high, low))
    assert "The learning rate of noise-aware schedule went from 5 to 4 times base's; by the 95% interval" in text
    assert f"lies between {low:.3g} and {high:.3g} times." in text


def test_an_executor_that_nobody_noted_is_not_named(store):
    id = stored.calibration(store, environment={**stored.ENVIRONMENT, "executor": ""})
    assert "on a test with torch 2.13.0;" in markdown(reported(store, store.get(id)))


def test_markdown_has_the_same_words_and_its_tables_keep_their_columns(store, record):
    text = markdown(reported(store, record))
    assert text.startswith("# A \\<b>bold\\</b> name | with marks\n\n> Yes: ")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 2
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1
    assert "| 90% interval |" in text
    assert text.count("data:image/svg+xml;base64,") == 5 and "```bash\nsqrtscale calibrate" in text


@pytest.mark.parametrize("measured", [[], stored.points(stored.plan())[:1], stored.all_nan(stored.plan())],
                         ids=["none", "one", "all nan"])
def test_there_is_a_report_of_a_calibration_that_came_to_nothing(store, measured):
    record = store.get(stored.calibration(store, "FAILED", measured=measured, reason="killed"))
    found = reported(store, record)
    assert found.answer == "There are not yet both a base and a scaled run to compare."
    assert html(found) and markdown(found)


def test_seeds_that_were_not_needed_are_named_everywhere_and_the_look_has_its_level(store):
    chosen = stored.plan(seeds=5, stop_early=True)
    few = [one for one in stored.points(chosen) if one.seed < 3]
    ended = {run: ("DONE" if run[1] < 3 else "SKIPPED", "") for run in chosen.runs}
    record = store.get(stored.calibration(store, chosen=chosen, measured=few, ended=ended))
    found = verdicts(record, store.curves(record.id))
    level = found["scaled"].functionals[0].level
    # O'Brien and Fleming's share of 5 % after 3 of 5 seeds, and what is left for the last look.
    assert level == pytest.approx(2 * norm.sf(norm.isf(0.025) / math.sqrt(3 / 5)))
    said = "Every verdict was clear after 3 seeds, so the other 2 of at most 5 were not trained."
    assert said in html(reported(store, record)) and said in markdown(reported(store, record))
    plain = store.get(stored.calibration(store, chosen=stored.plan(seeds=3)))
    assert {one.level for one in verdicts(plain, store.curves(plain.id))["scaled"].functionals} == {0.05}
    assert "not trained" not in markdown(reported(store, plain))


def test_how_far_one_can_go(store):
    chosen = stored.plan(targets=(16, 32), target=64)
    heights = {"scaled 2x": 0.0, "scaled 4x": 0.3}
    moved = [one if one.arm not in heights else type(one)(one.arm, one.seed, one.samples, {
        name: value + heights[one.arm] for name, value in one.values.items()}) for one in stored.points(chosen)]
    record = store.get(stored.calibration(store, chosen=chosen, measured=moved))
    found = verdicts(record, store.curves(record.id))
    assert [found[name].outcome for name in ("scaled 2x", "scaled 4x", "scaled")] == ["matches", "differs", "matches"]
    said = frontier(record, found)
    assert said == "How far the rule goes here: up to kappa = 2 (batch 16), while batch 32 comes out as “differs”."
    assert said in html(report(record, store.curves(record.id), found, {}, said))
    alone = store.get(stored.calibration(store))
    assert frontier(alone, verdicts(alone, store.curves(alone.id))) == ""
    assert judged(store, record).answer == f"{headline(record, found)} {said}" and store.get(record.id).outcome == "matches"


def test_the_plan_says_which_arms_are_controls_and_the_headline_names_those_at_the_target_batch(store):
    chosen = stored.plan(targets=(16,), arms=["unscaled", "linear lr", "unscaled 2x", "sqrt lr"])
    moved = [Measured(one.arm, one.seed, one.samples, {name: value + (one.arm == "unscaled 2x")
                                                       for name, value in one.values.items()}) for one in stored.points(chosen)]
    record = store.get(stored.calibration(store, chosen=chosen, measured=moved))
    found = verdicts(record, store.curves(record.id))
    assert list(found) == ["scaled", "scaled 2x", "unscaled", "linear lr", "sqrt lr", "unscaled 2x"]  # not the warm start
    assert [arm for arm, one in found.items() if one.control] == ["unscaled", "linear lr", "unscaled 2x"]
    assert found["unscaled 2x"].outcome == "differs"
    assert headline(record, found).endswith("The same test does tell unscaled and linear lr from the base run.")


@pytest.mark.parametrize(("measured", "outcome", "answer"), [
    ([], "", "There are not yet both a base and a scaled run to compare."),
    (stored.diverged(stored.plan(seeds=5), "scaled"), "differs", "No: training with the scaled settings breaks down"),
    (stored.points(stored.plan(seeds=1)), "cannot tell", "Not decided yet: one seed cannot tell a difference from chance."),
], ids=["nothing", "diverged", "one seed"])
def test_lists_show_the_outcome_of_the_headline(store, measured, outcome, answer):
    record = store.get(stored.calibration(store, chosen=stored.plan(seeds=5), measured=measured))
    assert judged(store, record).outcome == outcome
    (listed,) = store.summaries()
    assert listed.outcome == outcome and listed.answer.startswith(answer)


def test_a_database_that_cannot_be_written_is_no_reason_not_to_judge(store, record):
    store._engine.dispose()  # connections made from here on only read
    event.listen(store._engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    assert judged(store, record).outcome == "matches" and store.get(record.id).outcome == ""


def test_the_chart_places_points_where_they_belong():
    svg = ElementTree.fromstring(chart([Line("a <b>", [0, 10, 20, 30], [1.0, 3.0, NAN, 2.0], "#123456")], "x", "y"))
    shapes = [[tuple(map(float, pair.split(","))) for pair in one.get("points").split()]
              for one in svg.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(one) for one in shapes] == [2, 1]  # the gap at NaN
    (left, low), (right, high), (last, middle) = shapes[0][0], shapes[0][1], shapes[1][0]
    assert left < right < last and high < middle < low  # y grows downwards
    assert (right - left) == pytest.approx((last - left) / 3, abs=0.2)
    assert (low - middle) == pytest.approx((low - high) / 2, abs=0.2)
    texts = [one.text for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "a <b>" in texts and {"1", "2", "3", "10", "20", "30"} <= set(texts)


def test_the_margin_of_differences_is_a_band_around_zero_and_what_is_far_away_does_not_squeeze_it():
    svg = ElementTree.fromstring(chart([Line("a", [0, 1], [0.01, 9.0], "#123456")], "x", "y", 0.02))
    (band,) = svg.iter("{http://www.w3.org/2000/svg}rect")
    drawn = HEIGHT - TOP - BOTTOM
    # The axis goes from -1.5 margins, as nothing lies lower, to 6: the band is 2 of 7.5 margins high and begins 5 from the top.
    assert float(band.get("height")) == pytest.approx(drawn * 2 / 7.5, abs=0.2)
    assert float(band.get("y")) == pytest.approx(TOP + drawn * 5 / 7.5, abs=0.2)


SVG = "{http://www.w3.org/2000/svg}"


def test_the_forest_plot_holds_every_interval_against_the_margin():
    """An axis from -1.5 margins to 6: what lies at 12 is an arrow at its end, and what has one pair no interval."""
    svg = ElementTree.fromstring(forest([
        Block("scaled <", "matches", "#EA580C", [Interval("end", 0.0, -0.01, 0.02)]),
        Block("linear lr", "differs", "#6B7280", [Interval("end", 0.24, 0.2, 0.3),
                                                  Interval("whole curve", 0.01, -math.inf, math.inf)]),
    ], "Difference (nats)", 0.02))
    (band,) = svg.iter(SVG + "rect")
    left, width = float(band.get("x")), float(band.get("width"))

    def place(value):
        return left + (value + 0.02) * width / 0.04

    lines = [(float(line.get("x1")), float(line.get("x2"))) for line in svg.iter(SVG + "line") if line.get("stroke-width")]
    assert lines == [(pytest.approx(place(-0.01), abs=0.2), pytest.approx(place(0.02), abs=0.2)),
                     (pytest.approx(place(0.12), abs=0.2), pytest.approx(place(0.12), abs=0.2))]
    dots = [float(dot.get("cx")) for dot in svg.iter(SVG + "circle")]
    assert dots == pytest.approx([place(0.0), place(0.01)], abs=0.2)
    (arrow,) = svg.iter(SVG + "polygon")
    assert float(arrow.get("points").split(",")[0]) == pytest.approx(place(0.12), abs=0.2)
    texts = [text.text for text in svg.iter(SVG + "text")]
    words = [text for text in texts if text.strip("-0123456789.") and "Difference" not in text]
    assert words == ["scaled <", "matches", "end", "linear lr", "differs", "end", "whole curve"]


def test_one_that_was_stopped_at_its_branch_point_says_so_and_compares_nothing(store):
    record = store.get(stored.stopped(store))
    found = judged(store, record)
    assert (found.outcome, found.answer.split(",")[0]) == ("not a test", "This run does not test the scaling: at this stage of "
                                                          "training larger batches do not yet average out much noise")
    assert stopped_early(record).startswith("It was stopped after the warm start")
    for write in (html, markdown):
        text = write(reported(store, record))
        assert "It was stopped after the warm start" in text and "(at most 2.03), below the batch of 64" in text
        assert "svg" not in text.replace("svg {", "") and "no seed has a curve" not in text and "The curves" not in text


def test_what_is_measured_at_the_branch_point_is_enough_only_far_below_the_batch(store):
    """Batch 64 after a warm start of 3,200 samples and before 6,400 more: the interval must end below 64 / 9."""
    for noise_scale, never in ((6.9, True), (7.2, False)):
        record = store.get(stored.stopped(store, noise_scale))
        curves = store.curves(record.id)
        assert never_a_test(record, curves) == never
        scratch = replace(record, plan=replace(record.plan, start="scratch", warm_samples=0))
        assert not never_a_test(scratch, curves) and verdicts(scratch, curves)["scaled"].reason == "no pairs"
        base_is_whole = tuple(replace(run, state="DONE") if run.arm == "base" else run for run in record.runs)
        assert never_a_test(replace(record, runs=base_is_whole), curves)
    assert not never_a_test(store.get(stored.stopped(store, 70)), store.curves(store.summaries()[0].id))


@pytest.mark.parametrize("y", [[], [NAN], [2.0], [0.0, 0.0], [1e-9, 1e9]])
def test_the_chart_takes_whatever_was_measured(y):
    ElementTree.fromstring(chart([Line("one", list(range(len(y))), y, "#000000", "2 3", y, y)], "x", "y"))


@pytest.mark.parametrize("noise_scale, said", [
    (64.0, ("batch 64 is 100% of the noise scale", "25.0% less per sample", "Expected together: 33.7%")),
    (1e9, ("batch 64 is 0% of the noise scale", "as far per sample;", "Expected together: 11.6%")),
])
def test_why_the_rule_may_have_failed_is_computed_from_what_was_measured(store, noise_scale, said):
    """sqrt((64 + 8) / (64 + 64)) = 0.75 of the speed; the rule's own loss at (0.9, 0.95), kappa 8 is 11.6 % [forecast]."""
    base = TrainingConfig("adam", 8, {"lr": 2e-3, "beta1": 0.9, "beta2": 0.95})
    chosen = stored.plan(base=base, seeds=3)
    id = stored.calibration(store, chosen=chosen, measured=[
        Measured(one.arm, one.seed, one.samples, {name: value + (one.arm == "scaled") for name, value in one.values.items()})
        for one in stored.points(chosen)])
    record = store.get(id)
    found = verdicts(record, store.curves(id))
    assert found["scaled"].outcome == "differs"
    measured = Regime(noise_scale, noise_scale / 2, noise_scale * 2, None, 8, 64, 8.0, "unclear", "")
    (why,) = reasons(record, found, {"scaled": measured})
    assert all(part in why for part in said), why
    assert reasons(record, {"scaled": replace(found["scaled"], outcome="matches")}, {}) == ()
    assert "Why <strong>scaled</strong> may differ" in html(reported(store, record))
