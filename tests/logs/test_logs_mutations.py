"""Seeded damage to a log of every kind: it is read, or refused in one sentence."""

import random

import numpy as np
import pytest
from log_samples import SAMPLES, put

from sqrtscale import logs
from sqrtscale.rules import FieldError

TOKENS = (
    b"",
    b"nan",
    b"1e999",
    b"-1",
    b'"',
    b"\n",
    b",",
    b"{",
    b"}",
    b"null",
    b"[[[[",
    b"\xff",
    b"\0",
    b"9" * 400,
    b'"step": "x",',
    b"\x80" * 12,
)


def damaged(data, chance):
    start = chance.randrange(len(data))
    kind = chance.randrange(4)
    if kind == 0:
        return data[:start]
    if kind == 1:
        end = min(len(data), start + chance.randrange(60))
        return data[:start] + chance.choice(TOKENS) + data[end:]
    if kind == 2:
        return data[:start] + bytes([chance.randrange(256)]) + data[start + 1 :]
    return data[start:] + data[:start]


@pytest.mark.parametrize("name", SAMPLES)
def test_damage_is_read_or_refused_in_a_sentence(name, tmp_path):
    chance = random.Random(name)
    outcomes = set()
    for _ in range(60):
        path = put(tmp_path, name, damaged(SAMPLES[name], chance))
        try:
            read = logs.read(path)
        except FieldError as error:
            outcomes.add("refused")
            assert "\n" not in str(error) and len(str(error)) < 1000 and str(error).startswith("logs = ")
            assert str(tmp_path) not in str(error)
            continue
        outcomes.add("read")
        for run in read.runs:
            for curve in (*run.curves.values(), *run.measurements.values()):
                x = curve.points[curve.axes[0]].to_numpy()
                assert len(x) and np.isfinite(x).all() and (np.diff(x) > 0).all()
    assert outcomes == {"read", "refused"} or name.startswith("mlruns")
