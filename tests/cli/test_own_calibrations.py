"""Files of users calibrated by the command line, in real processes, held to a plain loop in torch on the same seeds."""

import json
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import waiting
from plain_own import FILES, Plain
from runner.conftest import processes_of

from sqrtscale.cli import build_parser, main
from sqrtscale.cli.calibrate import plan_of
from sqrtscale.runner import log
from sqrtscale.store import Store
from sqrtscale.tasks import OwnFile, OwnTask
from sqrtscale.tasks.own import Facts, add
from sqrtscale.training import Measured, calibrate, environment

ROOT = Path(__file__).resolve().parents[2]
BATCH, TARGET, SAMPLES = 16, 32, 256


def short(path):
    """The command that calibrates a task from scratch on few samples and waits."""
    options = (f"--batch {BATCH} --target {TARGET} --lr 1e-2 --start scratch --seeds 1 --samples {SAMPLES} --evaluations 2 "
               "--device cpu --go-on --arms base --wait --json")
    return ["calibrate", "--task", str(path), *options.split()]


def run(*arguments, memory):
    """In a process of its own; memory: bytes that it and all that it starts may allocate each."""
    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))

    return subprocess.run([sys.executable, "-m", "sqrtscale", *map(str, arguments)], text=True, capture_output=True,
                          cwd=ROOT, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)}, preexec_fn=limit)


@pytest.fixture
def store(home):
    opened = Store.open()
    yield opened
    opened.close()


def hold_to_a_plain_loop(plan, curve_of):
    """curve_of(arm): the validation losses of its only seed."""
    for arm in ("base", "scaled"):
        config = plan.config_of(arm)
        plain = Plain(OwnTask(plan.own), 0, config)
        plain.train(0, SAMPLES // config.batch_size, config.batch_size)
        curve, loose = curve_of(arm), plain.about.source.precision == "bf16"
        assert curve[-1] == pytest.approx(plain.validation_loss(), rel=1e-2 if loose else 1e-4)
        assert len(set(curve)) == len(curve) == 3  # it moved


LORA, *OTHERS = FILES  # one, and below the table, goes through the command's processes, which do the same for each


def test_every_arm_ends_where_a_plain_loop_ends(sqrtscale, store, home):
    done = sqrtscale(*short(LORA))
    assert done.returncode == 0, done.stderr
    record = store.get(json.loads(done.stdout)["id"])
    assert (record.state, record.executors) == ("DONE", "looped")
    assert record.plan.own.path == str(LORA) and record.plan.own.text == LORA.read_text()
    assert record.plan.task == f"lora@{record.plan.own.sha256[:12]}"
    curves = store.curves(record.id)
    of_losses = curves[curves["metric"] == "val_loss"]
    hold_to_a_plain_loop(record.plan, lambda arm: of_losses[of_losses["arm"] == arm]["value"].tolist())
    waiting.until(lambda: not processes_of(home), what="the end of its processes")


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_every_arm_of_its_plan_ends_where_a_plain_loop_ends(path):
    plan = plan_of(build_parser().parse_args(short(path)))
    events = [event for event in calibrate(plan) if isinstance(event, Measured)]
    assert environment("cpu", plan)["executor"] == "looped"
    hold_to_a_plain_loop(plan, lambda arm: [event.values["val_loss"] for event in events if event.arm == arm])


def test_a_task_that_was_added_is_calibrated_by_its_name_and_another_text_is_another_version(store, sqrtscale, tmp_path):
    path = tmp_path / "rows.py"
    path.write_text(next(file for file in FILES if file.stem == "table").read_text())
    done = sqrtscale("tasks", "add", path, "--name", "my-rows", "--device", "cpu")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "my-rows is added: sqrtscale calibrate --task my-rows")
    first, again = (store.get(json.loads(sqrtscale(*short("my-rows")).stdout)["id"]) for _ in range(2))
    assert len(store.reused(again.id)) == len(again.plan.runs) and again.plan.task == first.plan.task
    path.write_text(path.read_text() + "\n# another version\n")
    done = sqrtscale("calibrate", "--task", "my-rows")
    assert (done.returncode, done.stderr) == (2, f"--task = 'my-rows' has changed since it was added: sqrtscale tasks add {path} "
                                                 "--name my-rows takes the new version\n")
    assert str(path) + " (changed since: add it again)" in sqrtscale("tasks", "list").stdout
    assert sqrtscale("tasks", "add", path, "--name", "my-rows", "--device", "cpu").returncode == 0
    other = plan_of(build_parser().parse_args(["calibrate", "--task", "my-rows", "--device", "cpu"]))
    assert other.task != first.plan.task and other.own.text == path.read_text()
    assert sqrtscale("tasks", "remove", "my-rows").stdout == "my-rows is forgotten; its calibrations stay\n"
    assert [task["name"] for task in json.loads(sqrtscale("tasks", "list", "--json").stdout)] == []
    assert "val_loss" in sqrtscale("runs", "show", first.id).stdout  # what was measured can be read without the file
    done = sqrtscale("calibrate", "--task", "my-rows")
    assert done.returncode == 2 and "task = 'my-rows' is not known: give one of digits, pydoc, or a file" in done.stderr


def test_the_tutorial_runs_from_nothing_to_a_verdict(store, sqrtscale, tmp_path, monkeypatch):
    """Every command of the page, in its order, on fewer samples."""
    page = (ROOT / "docs" / "own_tasks.md").read_text()
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    lines = block.splitlines()
    assert len(lines) == 4
    monkeypatch.chdir(tmp_path)
    for line in lines:
        shorter = ["--samples", 1280, "--warm-samples", 1280, "--seeds", 1] * line.startswith("sqrtscale calibrate")
        done = sqrtscale(*shlex.split(line)[1:], *shorter)
        assert done.returncode == 0, done.stderr
    (summary,) = store.summaries()
    assert summary.state == "DONE" and summary.task.startswith("my_task@") and summary.outcome
    assert "scaled" in done.stdout


def test_a_calibration_branches_from_the_checkpoint_that_the_file_names_or_the_command(store, sqrtscale, tmp_path):
    import torch

    path, lightning = tmp_path / "rows.py", tmp_path / "other.ckpt"
    text = next(file for file in FILES if file.stem == "table").read_text()
    path.write_text(text.replace("SAMPLE =", 'CHECKPOINT = "last.pt"\nSAMPLE ='))
    model = torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, (0.8, 0.99), weight_decay=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        model(torch.randn(BATCH, 10)).square().mean().backward()
        optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "last.pt")
    torch.save({"pytorch-lightning_version": "2", "state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()]},
               lightning)
    done = sqrtscale("tasks", "add", path, "--device", "cpu")
    assert done.returncode == 0 and "the arms branch from the checkpoint last.pt (PyTorch, AdamW after 300 steps, SHA-256" \
        in done.stdout and "noise scale at the checkpoint: " in done.stdout, done.stdout
    assert "is that of last.pt: adamw, lr 0.002, beta1 0.8, beta2 0.99, eps 1e-08, weight_decay 0.1\n" in done.stdout
    few = ["--target", TARGET, "--seeds", 1, "--samples", SAMPLES, "--evaluations", 1, "--device", "cpu", "--arms", "base"]
    done = sqrtscale("calibrate", "--task", "rows", *few)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2, "--batch is needed: the checkpoint does not say at which global batch it was trained")
    done = sqrtscale("calibrate", "--task", "rows", *few, "--checkpoint", lightning, "--start", "warm")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "--checkpoint and --start warm are two starts: leave one out")
    done = sqrtscale("calibrate", "--task", "rows", *few, "--batch", BATCH, "--wait", "--go-on")
    assert done.returncode == 0, done.stderr
    (summary,) = store.summaries()
    record = store.get(summary.id)
    assert record.plan.start == "checkpoint" and record.plan.base.as_dict() == {
        "optimizer": "adamw", "lr": 2e-3, "betas": [0.8, 0.99], "eps": 1e-8, "weight_decay": 0.1, "batch_size": BATCH,
        "total_steps": None, "warmup_steps": None}
    said = sqrtscale("runs", "show", record.id).stdout
    assert f"branched from last.pt (PyTorch, AdamW after 300 steps, SHA-256 {record.plan.checkpoint.sha256[:12]}…): " \
        f"{tmp_path / 'last.pt'}\n" in said
    report = sqrtscale("runs", "export", record.id, "--format", "md").stdout
    assert "from the checkpoint last.pt (PyTorch" in report
    assert f"--start checkpoint --checkpoint {tmp_path / 'last.pt'}" in report
    assert "and the checkpoint is the same, SHA-256" in report


TRAINER = {"per_device_train_batch_size": 8, "learning_rate": 5e-4, "weight_decay": 0.01, "adam_beta1": 0.9, "adam_beta2": 0.99,
           "adam_epsilon": 1e-8, "max_grad_norm": 0.7, "lr_scheduler_type": "constant", "optim": "adamw_torch"}
DEEPSPEED = {"train_batch_size": 16, "gradient_clipping": 0.7, "optimizer": {"type": "AdamW", "params": {
    "lr": 5e-4, "betas": [0.9, 0.99], "eps": 1e-8, "weight_decay": 0.01}}}


@pytest.mark.parametrize(("name", "told", "more", "batch"), [
    ("training_args.json", TRAINER, "", 32),  # which knows no number of devices
    ("ds.json", DEEPSPEED, ", batch 16", 16),
])
def test_a_configuration_that_the_file_names_is_the_base(home, tmp_path, name, told, more, batch):
    path = tmp_path / "rows.py"
    path.write_text(next(file for file in FILES if file.stem == "table").read_text() + f'CONFIG = "{name}"\n')
    (tmp_path / name).write_text(json.dumps(told))
    plan = plan_of(build_parser().parse_args(["calibrate", "--task", str(path), "--device", "cpu"]))
    said = [finding.text for finding in plan.own.findings]
    assert (f"the base configuration is that of {name}: adamw, lr 0.0005, beta1 0.9, beta2 0.99, eps 1e-08, weight_decay 0.01, "
            f"clip_norm 0.7{more}") in said
    assert any("no file says at which global batch it was trained: 32 is taken" in text for text in said) == (batch == 32)
    assert (plan.base.batch_size, plan.base["lr"], plan.base.run["clip_norm"], plan.start) == (batch, 5e-4, 0.7, "warm")


@pytest.mark.parametrize(("option", "value", "sentence"), [
    ("--timeout", "0", "timeout = 0 is not allowed: give from 1 to 1e+06 seconds"),
    ("--timeout", "nan", "timeout = nan is not allowed"),
    ("--memory", "0", "memory = 0 is not allowed: give from 0.1 to 1e+06 gigabytes"),
    ("--memory", "1e300", "memory = 1e+300 is not allowed"),
    ("--target", "12.5", "target = 12.5 is not allowed: give a whole number from 1"),
    ("--target", "0", "target = 0 is not allowed"),
])
def test_bounds_of_a_check(capsys, option, value, sentence):
    for action in ("check", "add"):
        assert main(["tasks", action, str(FILES[0]), option, value]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1


def test_a_memory_limit_above_the_hard_limit_is_that_one(tmp_path):
    """In a shell that allows 8 GB of data, asked for 16."""
    path = tmp_path / "rows.py"
    path.write_text(next(file for file in FILES if file.stem == "table").read_text())
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (8 * 10**9, 8 * 10**9)); " \
              "from sqrtscale.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", limited, "tasks", "check", str(path), "--device", "cpu", "--memory", "16"],
                          text=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


LATE = "CALLS = []\n\n\ndef loss(model, batch):\n    CALLS.append(1)\n    if len(CALLS) == 200:\n        "
SCORE = "open('/proc/self/oom_score_adj').read().strip()"


def late(path, end):
    """The table's task, kept as if it had been checked, which does something when its loss has been computed 200 times."""
    table = next(file for file in FILES if file.stem == "table").read_text()
    path.write_text(table.replace("def loss(model, batch):", LATE + end))
    add(OwnFile(path.stem, str(path), path.read_text(), Facts(193, 350, 92)))
    return path.stem


@pytest.mark.parametrize(("end", "reason"), [
    (f"raise ValueError('no %d of %s' % (len(batch), {SCORE}))", "ValueError: no 2 of 500 (late.py, line"),
    ("late = model(batch['features']).mean()\n        late.requires_grad and late.register_hook(lambda g: {}['scale'])\n"
     "        return late", "KeyError: 'scale' (late.py, line"),
    ("import os; os._exit(0)", "the training process ended with exit code 0 before its runs did"),
    ("torch.ones(10**10 // 4)", "out of memory: take a smaller batch"),
], ids=["an exception", "a backward pass", "os._exit", "ten gigabytes"])
def test_an_error_in_training_ends_the_run_with_the_users_last_line(store, sqrtscale, tmp_path, home, end, reason):
    path = tmp_path / "late.py"
    command = [*short(late(path, end)), "--samples", 16_000]
    done = run(*command, memory=4 * 10**9) if "10**10" in end else sqrtscale(*command)
    assert done.returncode == 1
    record = store.get(json.loads(done.stdout)["id"])
    assert record.state == "FAILED" and record.reason.startswith(reason)
    said = (home / "calibrations" / record.id / "train.log").read_text()
    assert "_exit" in end or (f'File "{path}", line' in said and "sqrtscale/" not in said.split("Traceback")[1])


def test_prints_and_threads_without_end_do_no_harm(store, sqrtscale, tmp_path, home):
    """Nearly a gigabyte of lines, and a thread that would keep its process for ever."""
    end = ("import threading; threading.Thread(target=threading.Event().wait).start()\n"
           "        for _ in range(900): print('x' * 10**6)")
    done = sqrtscale(*short(late(tmp_path / "late.py", end)), "--samples", 6_400)
    assert done.returncode == 0, done.stderr
    id = json.loads(done.stdout)["id"]
    assert store.get(id).state == "DONE"
    assert (home / "calibrations" / id / "train.log").stat().st_size <= log.LARGEST
    waiting.until(lambda: not processes_of(home), what="the end of its processes")


@pytest.mark.parametrize(("text", "sentence"), [
    ("def model(:", "is no Python in line 1 (invalid syntax): correct it"),
    ("x = 1", "has no docstring: begin it with what is trained"),
    ('"""A."""\ndef model(): ...\ndef data(split): ...', "has no function loss: define loss(model, batch)"),
    ('"""A."""\ndef model(): ...\ndef data(): ...\ndef loss(model, batch): ...', "has a function data with other arguments"),
    ('"""A."""\nMICRO = 2 ** 5\ndef model(): ...\ndef data(split): ...\ndef loss(a, b): ...', "MICRO = '2 ** 5' is no literal"),
    ('"""A."""\nMICRO = 0\ndef model(): ...\ndef data(split): ...\ndef loss(a, b): ...', "MICRO = 0 is not allowed: give"),
    ('"""A."""\nWORKERS = -1\ndef model(): ...\ndef data(split): ...\ndef loss(a, b): ...', "WORKERS = -1 is not allowed: give"),
])
def test_a_text_that_is_no_task_is_refused_before_anything_runs(tmp_path, capsys, text, sentence):
    path = tmp_path / "bad.py"
    path.write_text(text)
    for command in (["tasks", "check", str(path)], ["tasks", "add", str(path)], ["calibrate", "--task", str(path)]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1
