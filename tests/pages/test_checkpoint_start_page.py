"""A task whose file names a checkpoint, on the Calibrate page and in its result: nothing of it is read by the server."""

from dataclasses import replace

import pytest

from pages.opening import page_at
from sqrtscale import runner
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import Checkpoint, OwnFile, remember
from sqrtscale.tasks.own import Facts, Group, KnownConfiguration, add
from sqrtscale.ui.tables import escaped

TEXT = '''"""My rows."""
CHECKPOINT = "last.pt"
def model(): ...
def data(split): ...
def loss(model, batch): ...
'''
FOUND = Checkpoint("/nowhere/at_all/last.pt", "ab" * 32, "PyTorch", "adamw", 500.0)
KNOWN = KnownConfiguration(TrainingConfig("adamw", 1, {"lr": 3e-4, "weight_decay": 0.02}), "last.pt")
VECTORS = Group("vectors", (("weight_decay", 0.0),), ("0.bias",))
FILE = OwnFile("my-rows", "/nowhere/at_all/rows.py", TEXT, Facts(193, 3500, 92, (), FOUND, KNOWN, (VECTORS,)))


@pytest.fixture
def launched(navigated, monkeypatch):
    """Launching stores the plan and starts no process."""
    monkeypatch.setattr(runner, "submit", lambda store, plan, name, resume_after_restart=False: store.create(
        plan, name, resume_after_restart=resume_after_restart))


def said(app):
    return "\n".join(element.value for element in (*app.caption, *app.markdown))


def test_the_start_is_the_checkpoint_of_the_task_and_the_base_its_configuration(launched, store):
    add(FILE)
    app = page_at("pages/calibrate.py")
    assert "From the checkpoint of the task" not in app.segmented_control(key="start").options
    app.button_group(key="task").set_value("my-rows").run()
    start = app.segmented_control(key=f"start-{FILE.key}")
    assert (start.value, start.options) == ("checkpoint", ["From the checkpoint of the task", "Warm start", "From scratch"])
    assert escaped("Taken: the configuration in last.pt.") in said(app)
    assert "does not say at which global batch it was trained" in said(app)
    assert "At which global batch was last" in app.info[0].value  # and until that is answered there is nothing to launch
    assert not app.table and not app.error and "Launch" not in [button.label for button in app.button]
    batch = app.text_input(key=f"batch-{FILE.key}")
    for text, sentence in (("many", "many"), ("0", "whole number from 1"), ("8 x 0 x 4", "accumulation")):
        batch.set_value(text).run()
        assert sentence in said(app) and "What is wrong stands below Base batch" in app.info[0].value and not app.table
    batch.set_value("2 x 3 x 8").run()
    assert not app.info and "κ = 4: to 192." in said(app)
    assert escaped("last.pt (PyTorch, AdamW after 500 steps, SHA-256 abababababab…), as it was when") in said(app)
    assert "nowhere" not in said(app) and not app.exception
    app.toggle(key="resume-after-restart").set_value(True).run()
    next(button for button in app.button if button.label == "Launch").click().run()
    (summary,) = store.summaries()
    plan = store.get(summary.id).plan
    assert store.get(summary.id).resume_after_restart
    assert (plan.start, plan.checkpoint, plan.warm_samples) == ("checkpoint", FOUND, 0)
    assert plan.base == remember(FILE).grouped(replace(KNOWN.config, batch_size=48))
    assert plan.target_batch == 192
    assert plan.base.groups[0].values == {"weight_decay": 0.0}
    assert "Weight decay (decoupled), vectors" in app.table[0].value.to_string()
    result = page_at("pages/results.py", id=summary.id)
    assert "checkpoint start" in said(result) and not result.exception
    again = page_at("pages/calibrate.py", again=summary.id)
    assert again.segmented_control(key=f"start-{FILE.key}").value == "checkpoint" and not again.exception


def test_another_configuration_or_start_may_be_chosen(launched, store):
    add(FILE)
    plan = make_plan(remember(FILE).name, TrainingConfig("adamw", 8, {"lr": 1e-2}), 64, start="scratch")
    app = page_at("pages/calibrate.py", again=store.create(plan, ""))
    assert app.segmented_control(key=f"start-{FILE.key}").value == "scratch" and "0.01" in app.table[0].value.to_string()
    app.segmented_control(key=f"source-{FILE.key}").set_value("That of last.pt").run()
    assert not app.table
    app.text_input(key=f"batch-{FILE.key}").set_value("8").run()
    assert "0.0003" in app.table[0].value.to_string() and not app.exception


def test_a_calibration_is_run_again_from_its_own_checkpoint(launched, store):
    """Of two of the same text, each from another one; where the task was added without, or with another one, that is said."""
    other = replace(FOUND, sha256="cd" * 32)
    ids = {}
    for checkpoint in (FOUND, other):
        file = replace(FILE, facts=replace(FILE.facts, checkpoint=checkpoint))
        plan = make_plan(remember(file, renew=True).name, replace(KNOWN.config, batch_size=8), 32, start="checkpoint")
        ids[checkpoint.sha256] = store.create(plan, "")
    remember(FILE, renew=True)
    app = page_at("pages/calibrate.py", again=ids[other.sha256])
    next(button for button in app.button if button.label == "Launch").click().run()
    (new,) = {summary.id for summary in store.summaries()} - set(ids.values())
    assert store.get(new).plan.checkpoint == other and not app.warning
    add(replace(FILE, facts=replace(FILE.facts, checkpoint=None)))
    app = page_at("pages/calibrate.py", again=ids[other.sha256])
    warning = app.warning[0].value
    assert "branched from the checkpoint last.pt" in warning and "was added without a checkpoint" in warning
    add(FILE)
    app = page_at("pages/calibrate.py", again=ids[other.sha256])
    assert escaped("was added with last.pt") in app.warning[0].value and not app.exception
