"""Parts of a run become one curve: resumed, written twice, out of order, in many files; many runs in one file."""

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale import logs
from sqrtscale.logs._joining import join
from sqrtscale.rules import FieldError


def frame(*points):
    return pd.DataFrame(points, columns=["step", "value"], dtype=float)


def joined(*parts):
    curve, _ = join("loss", parts)
    return curve, list(map(tuple, curve.points.to_numpy().tolist()))


def slowly(segments):
    """The points of a run that was resumed, by the definition: a part that begins at x takes the place of all from x on."""
    kept = {}
    for segment in segments:
        kept = {x: value for x, value in kept.items() if x < segment[0][0]}
        kept.update(segment)
    return sorted(kept.items())


@st.composite
def resumed_runs(draw):
    """Parts of three points or more, each of which begins before the end of the one before."""
    segments, counter, start = [], 0, 0
    for _ in range(draw(st.integers(1, 5))):
        steps = np.cumsum([start, *draw(st.lists(st.integers(1, 9), min_size=3, max_size=12))]).tolist()
        segments.append([(step, float(counter + number)) for number, step in enumerate(steps)])
        counter += len(steps)
        start = draw(st.integers(0, steps[-1] - 1))
    return segments


@given(resumed_runs(), st.booleans())
def test_a_resumed_run_has_the_points_of_its_last_parts(segments, in_files):
    parts = [frame(*segment) for segment in segments]
    curve, points = joined(*(parts if in_files else [pd.concat(parts, ignore_index=True)]))
    assert points == slowly(segments)
    assert curve.resumed_at == tuple(segment[0][0] for segment in segments[1:])
    assert curve.replaced == sum(map(len, segments)) - len(points)


@given(st.permutations(range(9)))
def test_a_log_that_is_out_of_order_loses_nothing(order):
    back = sum(later < earlier for earlier, later in pairwise(order))
    if back * 3 > len(order):
        curve, points = joined(frame(*((step, 10 * step) for step in order)))
        assert points == [(step, 10 * step) for step in range(9)] and not curve.resumed_at and not curve.replaced


def test_the_last_one_written_counts_and_a_copy_is_no_second_one():
    curve, points = joined(frame((0, 1.0), (1, 2.0), (1, 3.0), (2, 4.0), (2, 4.0), (3, math.nan), (3, math.nan)))
    assert points[:3] == [(0, 1), (1, 3), (2, 4)] and curve.replaced == 1 and curve.not_a_number == 1


def test_the_same_history_in_two_files_is_neither_resumed_nor_replaced():
    curve, points = joined(frame((0, 1.0), (1, 2.0), (2, 3.0)), frame((0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)))
    assert points == [(0, 1), (1, 2), (2, 3), (3, 4)] and not curve.resumed_at and not curve.replaced


def test_the_axis_that_every_point_has_orders_them():
    points = pd.DataFrame({"step": [math.nan, 1.0], "samples": [8.0, 16.0], "epoch": [math.nan] * 2, "value": [2.0, 1.0]})
    curve, _ = join("loss", [points])
    assert curve.axes == ("samples", "step") and list(curve.points["samples"]) == [8, 16]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_runs_are_told_apart_by_the_part_of_their_path_that_differs(tmp_path):
    rows = [{"step": step, "loss": 1.0} for step in range(3)]
    paths = [write(tmp_path / name, rows) for name in ("a/run.jsonl", "b/run.jsonl", "other.jsonl", "c/log.jsonl", "d/log.jsonl")]
    assert [run.name for run in logs.read(paths).runs] == ["a/run", "b/run", "other", "c", "d"]


def test_what_lies_in_the_folder_of_a_run_belongs_to_it(tmp_path):
    write(tmp_path / "base-1/log.jsonl", [{"step": step, "loss": 2.0} for step in range(3)])
    write(tmp_path / "base-1/noise.jsonl", [{"samples": 8.0 * step, "signal": 0.5, "noise": 2.0} for step in range(3)])
    write(tmp_path / "base-2.jsonl", [{"step": step, "loss": 3.0} for step in range(3)])
    write(tmp_path / "base-2.noise.jsonl", [{"samples": 8.0 * step, "signal": 0.5, "noise": 4.0} for step in range(3)])
    read = logs.read(tmp_path)
    assert {run.name: (len(run.origins), *run.curves, *run.measurements) for run in read.runs} == {
        "base-1": (2, "loss", "signal", "noise"),
        "base-2": (2, "loss", "signal", "noise"),
    }
    assert read["base-2"].measurements["noise"].points["value"].tolist() == [4.0] * 3


def test_runs_that_a_tracker_keeps_apart_are_joined_when_they_are_said_to_be_one(tmp_path):
    for name, steps in (("base", range(100)), ("base-resumed", range(60, 200))):
        write(tmp_path / f"{name}.jsonl", [{"step": step, "loss": float(len(name))} for step in steps])
    write(tmp_path / "other.jsonl", [{"step": 1, "loss": 1.0}])
    read = logs.read(tmp_path)
    whole = logs.join(read, "base", ["base", "base-resumed"])
    assert [run.name for run in whole.runs] == ["other", "base"] and len(whole["base"].origins) == 2
    curve = whole["base"].curves["loss"]
    assert curve.resumed_at == (60,) and curve.points["value"].tolist() == [4.0] * 60 + [12.0] * 140
    assert "base, loss: was resumed at 60: 40 points from there on were replaced." in whole.notes
    with pytest.raises(FieldError, match="runs = 'unknown' is not known"):
        logs.join(read, "base", ["unknown"])
    with pytest.raises(FieldError, match="another run's"):
        logs.join(read, "other", ["base", "base-resumed"])


def test_the_hash_and_the_reason_are_kept(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"step": 1, "loss": 1.0}])
    (origin,) = logs.read(path)["a"].origins
    import hashlib

    assert origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (origin.path, origin.reader, origin.reason) == (path, "jsonl", "an object in its first line")


def test_metrics_and_axes_that_runs_share(tmp_path):
    write(tmp_path / "a.jsonl", [{"step": 1, "samples": 8, "loss": 1.0, "acc": 0.5}])
    write(tmp_path / "b.jsonl", [{"step": 1, "loss": 1.0}])
    read = logs.read([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert read.metrics == {"loss": 2, "acc": 1}
    assert read.axes("loss") == ("step",) and read.axes("acc") == ("step", "samples") and read.axes("none") == ()
    with pytest.raises(KeyError):
        read["c"]
