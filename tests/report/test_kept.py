"""What lists show of a verdict, in the calibration's own row, and how calibrations of an earlier version come by it."""

import math

import pytest
import stored
from sqlalchemy import event, select, update

from sqrtscale.report import catch_up, judged
from sqrtscale.store import Result, Store, queue
from sqrtscale.store.models import Calibration, Chunk
from sqrtscale.training.events import Measured


@pytest.fixture
def store(home):
    opened = Store.open()
    yield opened
    opened.close()


def with_noise(chosen, scale):
    """The usual points, and for every seed of base a gradient whose noise is its signal times ``scale``."""
    return [*stored.points(chosen), *(Measured("base", seed, 0, {"noise": scale, "signal": 1.0}) for seed in chosen.seeds)]


def test_the_numbers_of_the_verdict_and_the_course_are_kept(store):
    """scaled lies 0.01 above base at every point of every seed; the base's ends lie 0.01 apart, which adds sqrt(0.5) of it."""
    chosen = stored.plan()
    record = store.get(stored.calibration(store, chosen=chosen, measured=with_noise(chosen, 300.0)))
    assert record.result == Result() and not record.judged
    kept = judged(store, record)
    assert kept == store.get(record.id) and kept.judged
    assert (kept.outcome, kept.difference, kept.low, kept.high) == ("matches", *[pytest.approx(0.01, abs=1e-12)] * 3)
    assert 0.01 < kept.margin < 0.02
    assert (kept.noise_scale, kept.noise_low, kept.noise_high) == tuple([pytest.approx(300, rel=1e-6)] * 3)
    assert kept.course == (0.01,) * 24
    assert store.summaries()[0].result == kept.result


def test_a_course_is_the_mean_of_equal_parts_in_order(store):
    """120 points after the branch point where scaled lies 1, 2, ... 120 above base: parts of five, the first one's mean is 3."""
    chosen = stored.plan(seeds=2, samples=64 * 120, start="scratch", warm_samples=None)
    measured = [Measured(arm, seed, 64 * i, {"val_loss": float(i if arm == "scaled" else 0) + seed}) for i in range(121)
                for arm, seed in chosen.runs]
    kept = judged(store, store.get(stored.calibration(store, chosen=chosen, measured=measured)))
    assert kept.course == tuple(3.0 + 5 * i for i in range(24))


def test_where_nothing_was_compared_there_are_no_numbers(store):
    kept = judged(store, store.get(stored.calibration(store, "CANCELLED", measured=[])))
    assert kept.result == Result(answer=kept.answer) and kept.judged and store.unjudged() == []


def test_one_pair_has_a_difference_and_no_end_of_its_interval(store):
    kept = judged(store, store.get(stored.calibration(store, chosen=stored.plan(seeds=1))))
    assert kept.difference == pytest.approx(0.01) and (kept.low, kept.high) == (-math.inf, math.inf)
    assert kept == store.get(kept.id)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_a_course_that_overflows_is_left_out(store):
    chosen = stored.plan()
    measured = [Measured(point.arm, point.seed, point.samples, {"val_loss": (1.7e308 if point.arm == "scaled" else -1.7e308)})
                for point in stored.points(chosen)]
    kept = judged(store, store.get(stored.calibration(store, chosen=chosen, measured=measured)))
    assert kept.course == () and kept == store.get(kept.id)


def test_what_is_not_judged_as_today_is_caught_up_with_newest_first(store):
    old, damaged, strange, deleted = (stored.calibration(store, name=name) for name in ("old", "damaged", "strange", "deleted"))
    running = stored.calibration(store, "RUNNING")
    with store._write.begin() as session:
        session.execute(update(Chunk).values(data=b"junk").where(Chunk.run_id.in_(
            run.id for run in queue.runs_of(session, [damaged]))))
        plan = session.scalar(select(Calibration.plan).where(Calibration.id == strange))
        session.execute(update(Calibration).values(plan=plan | {"task": "gone"}).where(Calibration.id == strange))
    store.delete(deleted)
    assert store.unjudged() == [strange, damaged, old]
    assert catch_up(store, 0) == 3 and store.get(old).outcome == ""
    assert catch_up(store, 60) == 0 and store.unjudged() == []
    rows = {row.id: row for row in store.summaries()}
    assert rows[old].outcome == "matches" and len(rows[old].course) == 24
    assert rows[damaged].result == rows[strange].result == rows[running].result == Result()


def test_what_cannot_be_judged_any_more_keeps_its_verdict(store):
    id = stored.calibration(store)
    kept = judged(store, store.get(id)).result
    with store._write.begin() as session:
        session.execute(update(Calibration).values(judging=0, plan=stored.plan().as_dict() | {"task": "gone"}))
    assert store.unjudged() == [id] and kept.outcome == "matches"
    assert catch_up(store, 60) == 0 and store.unjudged() == [] and store.summaries()[0].result == kept


def test_nothing_waits_where_verdicts_cannot_be_stored(store):
    ids = [stored.calibration(store) for _ in range(2)]
    store._engine.dispose()  # connections made from here on cannot write
    event.listen(store._engine, "connect", lambda connection, record: connection.execute("PRAGMA query_only=ON"))
    assert catch_up(store, 60) == 0 and set(store.unjudged()) == set(ids)


def test_one_that_was_removed_for_good_meanwhile_is_judged_all_the_same(store):
    record = store.get(stored.calibration(store))
    store.delete(record.id)
    assert store.purge() == [record.id] and judged(store, record).judged
