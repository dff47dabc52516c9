"""Models of transformers and Lightning calibrated by the command line, held to plain loops over their own classes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from own_kinds import LIBRARIES, plain_loop

from sqrtscale.store import Store
from sqrtscale.tasks import OwnTask

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[2]
BATCH, TARGET, SAMPLES = 16, 32, 256


def run(*arguments):
    """What a command prints that must succeed."""
    done = subprocess.run([sys.executable, "-m", "sqrtscale", *map(str, arguments)], text=True, capture_output=True, cwd=ROOT,
                          stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", LIBRARIES)
def test_every_arm_ends_where_a_plain_loop_ends(kind, tmp_path, home):
    options, names = LIBRARIES[kind](tmp_path)
    said = run("tasks", "add", *options, "--name", "theirs", "--device", "cpu")
    assert "ok   the loss is a mean" in said and "theirs is added: sqrtscale calibrate --task theirs" in said
    assert ("sqrtscale calibrate --task theirs --optimizer adamw --batch 16 --lr 0.003 " in said) == (kind == "lightning")
    shown = json.loads(run("calibrate", "--task", "theirs", "--batch", BATCH, "--target", TARGET, "--optimizer", "adam",
                           "--lr", 1e-2, "--start", "scratch", "--seeds", 1, "--samples", SAMPLES, "--evaluations", 2,
                           "--device", "cpu", "--go-on", "--arms", "base", "--wait", "--json"))
    store = Store.open()
    record, curves = store.get(shown["id"]), store.curves(shown["id"])
    store.close()
    assert (record.state, record.executors) == ("DONE", "looped")
    for arm in ("base", "scaled"):
        config = record.plan.config_of(arm)
        plain = plain_loop(OwnTask(record.plan.own), config, names)
        plain.train(0, SAMPLES // config.batch_size, config.batch_size)
        curve = curves[(curves["arm"] == arm) & (curves["metric"] == "val_loss")]
        assert curve["value"].iloc[-1] == pytest.approx(plain.validation_loss(), rel=1e-4)
        assert curve["value"].nunique() == len(curve) == 3  # it moved
