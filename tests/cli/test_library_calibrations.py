"""Models of transformers and Lightning calibrated by the command line, held to plain loops over their own classes."""

import json

import pytest
from own_kinds import LIBRARIES, plain_loop

from sqrtscale.cli import build_parser
from sqrtscale.cli.calibrate import plan_of
from sqrtscale.store import Store
from sqrtscale.tasks import OwnTask
from sqrtscale.training import Measured, calibrate, environment

pytestmark = pytest.mark.process
SAMPLES = 256
COMMAND = ("calibrate --task theirs --optimizer adam --batch 16 --target 32 --lr 1e-2 --start scratch --seeds 1 "
           f"--samples {SAMPLES} --evaluations 2 --device cpu --go-on --arms base --wait --json").split()


@pytest.fixture
def added(request, tmp_path, sqrtscale):
    """The plan for a model that was added by the command line, and the model's own functions."""
    kind = request.param
    options, names = LIBRARIES[kind](tmp_path)
    done = sqrtscale("tasks", "add", *options, "--name", "theirs", "--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "ok   the loss is a mean" in said and "theirs is added: sqrtscale calibrate --task theirs" in said
    assert ("sqrtscale calibrate --task theirs --optimizer adamw --batch 16 --lr 0.003 " in said) == (kind == "lightning")
    return plan_of(build_parser().parse_args(COMMAND)), names


def hold_to_a_plain_loop(plan, names, curve_of):
    """curve_of(arm): the validation losses of its only seed."""
    for arm in ("base", "scaled"):
        config, curve = plan.config_of(arm), curve_of(arm)
        plain = plain_loop(OwnTask(plan.own), config, names)
        plain.train(0, SAMPLES // config.batch_size, config.batch_size)
        assert curve[-1] == pytest.approx(plain.validation_loss(), rel=1e-4)
        assert len(set(curve)) == len(curve) == 3  # it moved


@pytest.mark.parametrize("added", ["gpt2"], indirect=True)  # the command and its processes: the same for each
def test_every_arm_ends_where_a_plain_loop_ends(added, sqrtscale):
    plan, names = added
    done = sqrtscale(*COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    store, id = Store.open(), json.loads(done.stdout)["id"]
    record, curves = store.get(id), store.curves(id)
    store.close()
    assert (record.state, record.executors, record.plan) == ("DONE", "looped", plan)
    of_losses = curves[curves["metric"] == "val_loss"]
    hold_to_a_plain_loop(plan, names, lambda arm: of_losses[of_losses["arm"] == arm]["value"].tolist())


@pytest.mark.parametrize("added", [kind for kind in LIBRARIES if kind != "gpt2"], indirect=True)
def test_every_arm_of_its_plan_ends_where_a_plain_loop_ends(added):
    plan, names = added
    events = [event for event in calibrate(plan) if isinstance(event, Measured)]
    assert environment("cpu", plan)["executor"] == "looped"
    hold_to_a_plain_loop(plan, names, lambda arm: [event.values["val_loss"] for event in events if event.arm == arm])
