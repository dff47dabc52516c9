"""Files of users that cannot be calibrated: a sentence each, and nothing is left of their process."""

import sys
from pathlib import Path

import pytest

from runner.conftest import processes_of
from sqrtscale.rules import FieldError
from sqrtscale.runner.own_tasks import KEPT, check_file
from sqrtscale.tasks import OwnFile
from sqrtscale.tasks.own import read_file, read_text
from sqrtscale.training.check import UNKNOWN, Check

GOOD = '''"""A line through noise."""
import torch
from torch import nn
def model():
    return nn.Linear(2, 1)
def data(split):
    rows = torch.randn(200, 2)
    return rows, rows.sum(1)
def loss(model, batch):
    rows, targets = batch
    return (model(rows).squeeze(1) - targets).square().mean()
'''
LOSS = "return (model(rows).squeeze(1) - targets).square().mean()"
METRIC = "\ndef metrics(model, batch):\n    rows, targets = batch\n    return {'much': "
BAD = {  # what is wrong -> (replaced, by what, the sentence)
    "sys.exit": ("from torch import nn", "from torch import nn; import sys; sys.exit(0)",
                 "SystemExit: 0: the code of a task must not end its process, so remove sys.exit or exit (task.py, line 3)"),
    "an exception": (LOSS, "return model(rows[:, :1]).mean()", "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    "no samples": ("torch.randn(200, 2)", "torch.randn(0, 2)", "data = 'train' has no samples"),
    "a sum": (LOSS, LOSS.replace("mean()", "sum()"), "the loss is a sum over the batch, not its mean"),
    "a batch's own loss": (LOSS, "return ((model(rows).squeeze(1) - targets) - 5 * targets.mean()).square().mean()",
                           "in training: its samples depend on each other"),
    "batch norm": ("nn.Linear(2, 1)", "nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))",
                   "in training: its samples depend on each other, as with batch norm"),
    "NaN": (LOSS, "return (model(rows).squeeze(1) - targets).sqrt().mean()", "the loss is nan at the start"),
    "no scalar": (LOSS, "return (model(rows).squeeze(1) - targets).square()", "is no scalar: return one number, the mean"),
    "a wrong device": ("nn.Linear(2, 1)", 'nn.Linear(2, 1, device="cuda")', "task.py, line 5)"),
    "chance of another kind": (LOSS, "import os; " + LOSS + " + os.urandom(1)[0]",
                               "the loss is another one from the same weights"),
    "an exception in the backward pass": (
        LOSS, "out = model(rows).mean()\n    _ = out.requires_grad and out.register_hook(lambda g: {}['scale'])\n    return out",
        "KeyError: 'scale' (task.py, line 12)"),
    "nothing to train": ("nn.Linear(2, 1)", "nn.Linear(2, 1).requires_grad_(False)",
                         "has no parameter that requires a gradient"),
    "no module": ("nn.Linear(2, 1)", "3", "model() = 'int' is no torch.nn.Module"),
    "the same module at every call": (
        "def model():\n    return nn.Linear(2, 1)", "MODEL = nn.Linear(2, 1)\ndef model():\n    return MODEL",
        "model() gives the same parameters at every call"),
    "a start that no seed decides": ("return nn.Linear(2, 1)", "torch.seed(); return nn.Linear(2, 1)",
                                     "model() starts from other weights at the same seed: draw them by torch"),
    "a layer without a shape": ("nn.Linear(2, 1)", "nn.LazyLinear(1)", "weight = 'lazy' has no shape before a batch has gone"),
    "no gradient": (LOSS, LOSS + ".detach()", "loss = 'tensor () of torch.float32' has no gradient: compute it"),
    "a loss that is a number": (LOSS, LOSS + ".item()", "loss = 'float' is no scalar: return one number"),
    "dictionaries in a dictionary": ("return rows, rows.sum(1)", "return {'x': {'rows': rows}, 'y': rows}",
                                     "data = 'train' is a dictionary with a dict as 'x': give tensors alone"),
    "columns in a list": ("return rows, rows.sum(1)", "return [rows, rows.sum(1)]",
                          "data = 'train' is a list of 2 arrays: return a tuple of tensors"),
    "columns of NumPy": ("return rows, rows.sum(1)", "return rows.numpy(), rows.sum(1).numpy()", "is a tuple of 2 arrays: "),
    "an iterator at its end": (LOSS, "return next(iter(()))", "StopIteration (task.py, line 11)"),
    "an error that is no Exception": (LOSS, "raise type('PanicException', (BaseException,), {})('in \\ud800 Rust')",
                                      "PanicException: in \\ud800 Rust (task.py, line 11)"),
    "a metric for each sample": (LOSS, LOSS + METRIC + "rows[:, 0]}",
                                 "metrics: much = 'tensor (32,) of torch.float32' is no number: return one, the mean"),
    "a metric that is a word": (LOSS, LOSS + METRIC + "'high'}", "metrics: much = 'str' is no number: return one"),
    "double precision": ("nn.Linear(2, 1)", "nn.Linear(2, 1).double()",
                         "is trained in another precision: keep it in float32"),
}


@pytest.fixture
def written(tmp_path):
    def write(replaced="", by=""):
        path = tmp_path / "task.py"
        assert replaced in GOOD
        path.write_text(GOOD.replace(replaced, by) if replaced else GOOD)
        return path
    return write


def last(checked):
    return checked.file.findings[-1]


def test_a_good_file_is_found_to_be_good(written):
    checked = check_file(written())
    assert checked.file.usable and checked.log == ""
    assert (checked.file.facts.parameters, checked.file.facts.train_size, checked.file.facts.metrics) == (3, 200, ())
    assert [finding.level for finding in checked.file.findings] == ["good"] * len(checked.file.findings)
    assert not any("loading" in finding.text for finding in checked.file.findings)  # tensors


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_said_in_a_sentence(written, what, monkeypatch):
    """In this process, which the check leaves as it was; limits and ends of the process are tested below."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    replaced, by, sentence = BAD[what]
    path = written(replaced, by)
    check = Check(OwnFile("task", str(path), path.read_text(), UNKNOWN), "cpu", None)
    check.run()
    assert check.findings[-1].level == "bad"
    assert sentence in check.findings[-1].text
    assert "sqrtscale" not in check.log  # a traceback, if there is one, is the user's


SLOW = """class Rows(torch.utils.data.TensorDataset):
        def __getitem__(self, place):
            sum(range(20_000))
            return super().__getitem__(place)
    rows = torch.randn(200, 2)
    return Rows(rows, rows.sum(1))"""


@pytest.mark.parametrize(("workers", "remedy"), [
    (0, "set WORKERS = 2 in the file, for processes that load the next batch while one is trained. It also helps to do less"),
    (1, "set WORKERS = 2, the cores of this machine. It also helps"),
    (2, "its 2 workers have all cores of this machine. It also helps"),
])
def test_samples_that_take_longer_than_a_step_are_said_with_the_remedy(written, monkeypatch, workers, remedy):
    """Some hundred times the work of a step, on a machine of two cores."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = written("rows = torch.randn(200, 2)\n    return rows, rows.sum(1)", SLOW)
    path.write_text(path.read_text() + f"WORKERS = {workers}\n")
    check = Check(OwnFile("task", str(path), path.read_text(), UNKNOWN), "cpu", None)
    check.run()
    steps = [finding.text for finding in check.findings if finding.text.startswith("a step at batch")]
    assert len(steps) == 2
    assert all(("workers load the next batch in" if workers else "% of it loading samples") in text for text in steps)
    assert check.findings[-1].level == "warning"
    assert "loading the samples of a step takes" in check.findings[-1].text and remedy in check.findings[-1].text


@pytest.mark.parametrize(("more", "level", "sentence"), [
    (METRIC + "(rows[:, 0] > 9).any()}", "good", "much 0"),
    (METRIC + "rows.mean().numpy()}", "good", "much "),
    (METRIC + "len(targets)}\nHIGHER_IS_BETTER = ['much', 'more']", "warning", "HIGHER_IS_BETTER names more, which"),
    ("\ndef collate(samples): ...", "warning", "collate(samples) is never called: data(split) gives tensors"),
    ("\ndef f(x: int): ...\nassert f.__annotations__['x'] is int", "good", "the gradient is finite"),
], ids=["a truth value", "NumPy", "a count", "collate", "annotations"])
def test_what_is_good_or_only_to_look_at_is_said(written, monkeypatch, more, level, sentence):
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = written(LOSS, LOSS + more)
    check = Check(OwnFile("task", str(path), path.read_text(), UNKNOWN), "cpu", None)
    check.run()
    assert check.findings[-1].level != "bad", check.findings[-1]
    assert [finding.level for finding in check.findings if sentence in finding.text] == [level]


@pytest.mark.parametrize(("text", "sentence"), [
    (None, "cannot be read (No such file or directory): give a file of docs/formats.md"),
    ("hello", "cannot be used: text = 'hello' is not JSON: "),
    ('{"learning_rate": 1e-3, "optim": "adamw_torch", "adam_beta2": 2}', "cannot be used: adam_beta2 = 2 is not a decay rate: "),
])
def test_a_configuration_that_is_none_is_named_with_its_file(written, text, sentence):
    """Before any process starts."""
    path = written()
    path.write_text(path.read_text() + 'CONFIG = "run.json"\n')
    if text is not None:
        path.with_name("run.json").write_text(text)
    with pytest.raises(FieldError) as raised:
        check_file(path)
    assert (raised.value.field, raised.value.value) == ("CONFIG", str(path.with_name("run.json")))
    assert raised.value.allowed.startswith(sentence)


def test_a_file_may_begin_with_the_mark_of_some_editors(written):
    path = written()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_text(read_file(path), "task").title == "A line through noise"


def test_code_that_ends_the_process_is_said_to_do_so(written):
    checked = check_file(written("from torch import nn", "from torch import nn; import os; os._exit(0)"))
    assert "ended with exit code 0 before the check" in last(checked).text


def test_the_users_own_traceback_is_kept(written):
    log = check_file(written(LOSS, "return {}['accuracy']")).log
    assert log.startswith("Traceback (most recent call last):\n") and "task.py\", line 11, in loss" in log
    assert log.rstrip().endswith("KeyError: 'accuracy'")


def test_a_loop_without_end_is_ended(written, home):
    checked = check_file(written("from torch import nn", "from torch import nn\nwhile True: pass"), seconds=8)
    assert "was not done within 8 s and was ended" in last(checked).text
    assert not processes_of(home)


def test_ten_gigabytes_are_refused_to_it(written):
    checked = check_file(written("torch.randn(200, 2)", "torch.ones(10**10 // 4, 2)[:200]"), memory=2 * 10**9)
    assert "memory" in last(checked).text and not checked.file.usable


def test_a_gigabyte_of_prints_is_cut(written):
    checked = check_file(written("from torch import nn", "from torch import nn\nfor _ in range(1000): print('x' * 10**6)"))
    assert checked.file.usable and 0 < len(checked.log) <= KEPT


def test_threads_that_never_end_do_not_keep_it(written, home):
    thread = "from torch import nn\nimport threading; threading.Thread(target=threading.Event().wait).start()"
    assert check_file(written("from torch import nn", thread)).file.usable
    assert not processes_of(home)


def test_it_finds_what_lies_beside_it(written, tmp_path):
    (tmp_path / "my_rows.py").write_text("import torch\nROWS = torch.ones(40, 2)\n")
    path = written("torch.randn(200, 2)", "__import__('my_rows').ROWS")
    assert check_file(path).file.facts.train_size == 40
    assert Path(path).is_file()
