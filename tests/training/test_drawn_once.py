"""What several groups read is drawn once, ahead of time where there is time, and nothing that is trained can tell."""

import copy
import threading
from collections import Counter

import pytest
import torch
from pretended_gpu import pretended
from waiting import until

from sqrtscale.plan import WARM_START, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import task
from sqrtscale.training import Branched, Measured, Resumable, calibrate, streams
from sqrtscale.training.streams import BLOCK, DrawnOnce, Stream

CPU = torch.device("cpu")


@pytest.fixture
def drawn(monkeypatch):
    """How often each block was drawn, by the generator before it, and by which thread."""
    kind, counted = type(task("digits").data(CPU)), Counter()
    usual = kind.draw

    def draw(self, count, generator):
        counted[generator.get_state().numpy().tobytes()] += 1
        counted[threading.current_thread().name] += 1
        return usual(self, count, generator)

    monkeypatch.setattr(kind, "draw", draw)
    return counted


def plan(**changes):
    return make_plan("digits", TrainingConfig("sgd", 8, {"lr": 1e-2}), 32,
                     **{"seeds": 2, "samples": 1600, "warm_samples": 96, "evaluations": 4, "device": "cpu"} | changes)


def values(events):
    return {(event.arm, event.seed, event.samples): event.values for event in events if isinstance(event, Measured)}


def curves(plan):
    return values(calibrate(plan))


def test_a_calibration_draws_a_seeds_samples_once_and_in_a_thread_while_the_warm_start_trains(drawn):
    calibration, here = calibrate(plan()), threading.current_thread().name

    def ahead():
        return sum(count for name, count in drawn.items() if isinstance(name, str) and name != here)

    first = next(event for event in calibration if isinstance(event, Measured))  # of the warm start, which waits here
    until(lambda: ahead() == 2 * 2, what="drawing two blocks of two seeds")
    there = values([first, *calibration])
    assert ahead() == 2 * 2
    for thread in [name for name in drawn if isinstance(name, str)]:
        del drawn[thread]
    # The warm start's own group measures on the first seed's samples as well; the batch of the curvature is drawn there and here.
    again = sum(count - 1 for count in drawn.values())
    assert sum(drawn.values()) - again == len(drawn) and again <= 2
    assert len(there) > 10 and not any(thread.name.startswith("draws ahead") for thread in threading.enumerate())


def short():
    return plan(warm_samples=48, samples=320)


@pytest.fixture(scope="module")
def usual():
    return curves(short())


@pytest.mark.parametrize("most", [0, 2**20])
def test_what_is_kept_changes_no_number(most, usual, monkeypatch):
    monkeypatch.setattr(streams, "KEPT_BYTES", most)
    assert curves(short()) == usual


def test_a_calibration_that_is_closed_in_its_warm_start_leaves_no_thread():
    """Which draws for far longer than the warm start has trained."""
    running = calibrate(plan(samples=160_000))
    for event in running:
        assert not isinstance(event, Branched)
        if any(thread.name.startswith("draws ahead") for thread in threading.enumerate()):
            break
    else:
        raise AssertionError("no thread drew ahead")
    running.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("draws ahead")]


def test_what_stops_while_a_thread_draws_ahead_goes_on_to_the_same_numbers(usual):
    """From a snapshot in the middle of the warm start, whatever the thread has drawn by then."""
    stopped, seen = calibrate(short()), []
    for event in stopped:
        seen.append(event)
        if isinstance(event, Resumable) and len(values(seen)) > 1:
            kept = copy.deepcopy(event.snapshot())
            break
    assert all(arm == WARM_START for arm, _, _ in values(seen))
    assert any(thread.name.startswith("draws ahead") for thread in threading.enumerate())
    stopped.close()
    assert values(seen) | values(calibrate(short(), snapshot=kept)) == usual


def test_a_thread_that_is_ended_keeps_the_block_that_it_draws_and_begins_no_other(monkeypatch):
    """Whoever ends it waits for that block."""
    data, begun, ended = task("digits").data(CPU), threading.Event(), threading.Event()
    shared, usual, draws = DrawnOnce(data), type(data).draw, []

    def draw(self, count, generator):
        draws.append(count)
        begun.set()
        ended.wait(60)
        return usual(self, count, generator)

    with monkeypatch.context() as changed:
        changed.setattr(type(data), "draw", draw)
        changed.setattr(streams, "Event", lambda: ended)
        with shared.drawing_ahead([3], "branch", 4 * BLOCK):
            begun.wait(60)
    assert draws == [BLOCK] and len(shared.kept) == 1
    assert same(Stream(shared, 3, "branch").take(BLOCK), Stream(data, 3, "branch").take(BLOCK))


def same(one, other):
    return all(map(torch.equal, one.tensors(), other.tensors()))


def test_streams_of_one_seed_read_the_same_whatever_is_let_go_of_between(drawn):
    data = task("digits").data(CPU)
    shared, alone = DrawnOnce(data), Stream(data, 3, "branch")
    first, second = Stream(shared, 3, "branch"), Stream(shared, 3, "branch")
    expected = alone.take(3 * BLOCK)
    drawn.clear()
    assert same(first.take(2 * BLOCK), expected.cut(slice(2 * BLOCK)))
    position = second.position()
    assert same(second.take(100), expected.cut(slice(100)))
    block = sum(x.nbytes for x in expected.cut(slice(BLOCK)).tensors())
    assert shared.nbytes == 2 * block
    assert same(second.take(2 * BLOCK - 100), expected.cut(slice(100, 2 * BLOCK)))
    assert set(drawn.values()) == {1, 2}  # each once, by this thread
    shared.let_go()
    assert shared.nbytes == 0 and not shared.kept
    second.move_to(position)  # what is gone is drawn again
    assert same(second.take(3 * BLOCK), expected)
    assert same(first.take(BLOCK), expected.cut(slice(2 * BLOCK, None)))


def test_where_not_all_fits_the_second_stream_finds_what_it_reads_first(drawn, monkeypatch):
    data = task("digits").data(CPU)
    shared = DrawnOnce(data)
    monkeypatch.setattr(streams, "KEPT_BYTES", 2 * sum(x.nbytes for x in Stream(data, 3, "x").take(BLOCK).tensors()))
    drawn.clear()
    both = [Stream(shared, 3, "branch").take(4 * BLOCK) for _ in range(2)]
    assert same(*both) and drawn[threading.current_thread().name] == 4 + 2


def test_at_an_evaluation_a_calibration_lets_go_of_all_that_is_read(monkeypatch):
    """Also of what one of its groups alone reads: tails are those of base and scaled."""
    kept, ordinary = [], DrawnOnce.let_go

    def let_go(shared):
        kept.append(len(shared.kept))
        ordinary(shared)
        assert not shared.kept

    monkeypatch.setattr(DrawnOnce, "let_go", let_go)
    assert curves(plan(warm_samples=48, samples=320, start="scratch", evaluations=2, seeds=1))
    assert len(kept) == 2 and kept[0] > 0


def test_a_gpu_gets_what_a_thread_has_drawn_on_the_cpu():
    gpu = torch.device("cuda:0")
    with pretended() as device:
        data = task("digits").data(gpu)
        shared, expected = DrawnOnce(data), Stream(data, 1, "x").take(BLOCK)
        with shared.drawing_ahead([1], "x", BLOCK):
            until(lambda: shared.kept)
        before = device.copies["pinned"]
        for _ in range(2):  # streams, of which one alone has it copied
            taken = Stream(shared, 1, "x").take(BLOCK)
            assert device.copies["pinned"] == before + 2
            assert all(x.device == gpu and torch.equal(x.held, y.held) for x, y in
                       zip(taken.tensors(), expected.tensors(), strict=True))
