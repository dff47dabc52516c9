"""Data of users, added by one command and calibrated by the next in processes of its own, held to a plain loop in torch."""

import json
from pathlib import Path

import numpy as np
import pytest
from model_folders import bert_folder, glue_folder, gpt2_folder
from own_kinds import ADAPTED, plain_loop

from sqrtscale.store import Store
from sqrtscale.tasks import OwnTask

ROOT = Path(__file__).resolve().parents[2]
BATCH, SAMPLES = 16, 256


@pytest.fixture
def store(home):
    opened = Store.open()
    yield opened
    opened.close()


@pytest.mark.parametrize(("kind", "said"), [
    ("images", "144 training and 16 validation images"), ("text", "windows of 16 bytes")])
def test_a_folder_becomes_a_task_that_ends_where_a_plain_loop_ends(store, home, tmp_path, sqrtscale, kind, said):
    source, _ = ADAPTED[kind](tmp_path)
    done = sqrtscale("tasks", "add", *source, "--name", "mine", "--device", "cpu", "--target", 32)
    told = done.stdout
    assert done.returncode == 0 and said in told and "models train as a stack (compiled)" in told
    assert told.splitlines()[-1] == "mine is added: sqrtscale calibrate --task mine"
    assert sorted(path.name for path in (home / "tasks").iterdir()) == ["mine.json", "mine.py"]
    done = sqrtscale("calibrate", "--task", "mine", "--batch", BATCH, "--target", 32, "--lr", 3e-3, "--start", "scratch",
                     "--seeds", 1, "--samples", SAMPLES, "--evaluations", 2, "--device", "cpu", "--go-on", "--arms", "base",
                     "--wait", "--json")
    assert done.returncode == 0, done.stderr
    record = store.get(json.loads(done.stdout)["id"])
    assert record.state == "DONE" and record.plan.own.path == str(home / "tasks" / "mine.py")
    curves = store.curves(record.id)
    for arm in ("base", "scaled"):
        config = record.plan.config_of(arm)
        plain = plain_loop(OwnTask(record.plan.own), config, None)
        plain.train(0, SAMPLES // config.batch_size, config.batch_size)
        curve = curves[(curves["arm"] == arm) & (curves["metric"] == "val_loss")]
        assert curve["value"].iloc[-1] == pytest.approx(plain.validation_loss(), rel=1e-4)
        assert curve["value"].nunique() == len(curve) == 3


def test_what_an_adapter_wrote_is_renewed_kept_aside_and_removed(home, tmp_path, capsys):
    """In this process but for the checks: a table that changes, a file that a user has changed."""
    from sqrtscale.cli import main
    from sqrtscale.tasks import added

    rows, path = tmp_path / "rows.csv", home / "tasks" / "mine.py"
    rows.write_text("x,y\n" + "".join(f"{i},{i * i}.5\n" for i in range(40)))
    add = ["tasks", "add", f"table:{rows}", "--name", "mine", "--device", "cpu", "--target", "8", "--target-column", "y"]
    assert main(add) == 0
    first = added()["mine"]
    assert path.read_text() == first.text and path.stat().st_mode & 0o077 == 0
    rows.write_text(rows.read_text() + "40,1600.5\n")
    assert main(["tasks", "check", str(path), "--device", "cpu"]) == 1
    assert "has changed since the task was made of it: add it again with sqrtscale tasks add" in capsys.readouterr().out
    assert main(add) == 0
    assert added()["mine"].sha256 != first.sha256 and path.with_suffix(".py~").read_text() == first.text
    assert main(["tasks", "remove", "mine"]) == 0
    assert not path.exists() and not added()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["images:/nowhere/at/all"], "data = '/nowhere/at/all' is not there: give the path of a file or folder"),
    (["images:"], "FILE = 'images:' names no data: give images:FOLDER"),
    (["text:/etc", "--pixels", "8", "--name", "etc"], "--pixels = '8' is not read for text: its options are --context"),
    (["table:/etc/hostname", "--name", "host"], "data = '/etc/hostname' "),
    (["package:none"], "task = 'package:none' is not there: no installed package has an entry point in sqrtscale.tasks"),
    (["tests/recipes/own/table.py", "--context", "8"], "--context = '8' is not read for a Python file: change its text"),
])
def test_what_cannot_be_added_is_one_sentence_and_leaves_nothing(home, monkeypatch, capsys, arguments, sentence):
    from sqrtscale.cli import main

    monkeypatch.chdir(ROOT)
    for action in ("check", "add"):
        assert main(["tasks", action, *arguments]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1
    assert not list(home.glob("tasks/*"))


def test_a_data_set_of_the_paper_is_taken_from_a_folder(home, tmp_path, capsys):
    from sqrtscale.cli import main

    random = np.random.default_rng(0)
    for name, count in (("data_batch_1", 256), ("test_batch", 64)):
        records = random.integers(0, 256, (count, 3073), np.uint8)
        records[:, 0] %= 10
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    assert main(["tasks", "get", "cifar10", "--from", str(tmp_path), "--device", "cpu", "--target", "64"]) == 0
    said = capsys.readouterr().out
    assert "the unit of a batch is a micro-batch of 32" in said and "256 training and 64 validation images" in said
    assert said.splitlines()[-1].startswith("sqrtscale calibrate --task cifar10 --optimizer adam --betas 0.975 0.99975 ")


def test_sst2_is_taken_from_glues_files_for_a_model_of_the_users(home, tmp_path, capsys):
    from sqrtscale.cli import main

    model, glue = bert_folder(tmp_path / "bert"), glue_folder(tmp_path / "SST-2")
    get = ["tasks", "get", "sst2", "--from", str(glue), "--length", "12", "--device", "cpu"]
    assert main([*get, "--model", str(model), "--target", "32"]) == 0
    said = capsys.readouterr().out
    assert "ok   200 training and 64 validation texts" in said and "the loss is a mean" in said and ", accuracy 0." in said
    assert said.splitlines()[-2:] == [
        "an example of a calibration, with settings that were not tried at this size (docs/paper_tasks.md):",
        "sqrtscale calibrate --task sst2 --optimizer adamw --lr 5e-5 --batch 8 --target 32 --samples 4000 --start scratch "
        "--seeds 3"]
    text = (home / "tasks" / "sst2.py").read_text()
    assert text.startswith('"""SST-2, bert\n\nA model of type bert that predicts the class of a text, from the weights of the')


@pytest.mark.parametrize(("data_set", "options", "sentence"), [
    ("sst2", [], "model = None is missing: give --model FOLDER, a BERT or RoBERTa with its tokenizer as save_pretrained"),
    ("wikitext", ["--target", "0"], "target = 0 "),
    ("wikitext", ["--timeout", "0"], "timeout = 0 is not allowed: give from 1 to 1e+06 seconds"),
    ("cifar10", ["--name", "digits"], "name = 'digits' is a built-in task: give another one with --name"),
    ("cifar10", ["--name", "a b"], "name = 'a b' "),
    ("sst2", ["--model", "/nowhere", "--size", "huge"], "size = 'huge' "),
    ("mlm", ["--model", "/nowhere"], "model = '/nowhere' is no folder: give one that save_pretrained wrote"),
    ("wikitext", ["--model", "/nowhere"], "--model = '/nowhere' is not read for wikitext: its options are --size, --context"),
])
def test_options_are_looked_at_before_anything_is_fetched(home, capsys, data_set, options, sentence):
    from sqrtscale.cli import main

    assert main(["tasks", "get", data_set, *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence) and said.count("\n") == 1
    assert not home.exists()


def test_a_model_that_cannot_predict_masked_tokens_is_refused_before_anything_is_fetched(home, tmp_path, capsys):
    from sqrtscale.cli import main

    assert main(["tasks", "get", "mlm", "--model", str(gpt2_folder(tmp_path / "gpt2"))]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].endswith("has no AutoModelForMaskedLM in transformers: give a BERT or RoBERTa")
    assert not home.exists()


def test_a_folder_that_is_not_sst2_is_refused(home, tmp_path, capsys):
    from sqrtscale.cli import main

    model = bert_folder(tmp_path / "bert")
    capsys.readouterr()  # a bar of transformers
    get = ["tasks", "get", "sst2", "--from", str(tmp_path), "--model", str(model), "--device", "cpu"]
    for name, sentence in (("notes.txt", "has no train.tsv and no train*.parquet: give the folder of SST-2, as GLUE"),
                           ("train.tsv", "has no dev.tsv and no validation*.parquet: give the folder of SST-2")):
        (tmp_path / name).write_text("label\tsentence\n1\ta\n")
        assert main(get) == 2
        assert capsys.readouterr().err.startswith(f"data = '{tmp_path}' {sentence}")


def test_the_settings_of_the_paper_are_printed_as_the_rule_moves_them():
    """tiny: the authors' values at batch 256 carried to 64; each line is read by the command that it names."""
    import shlex

    from sqrtscale import TrainingConfig, scale
    from sqrtscale.cli import build_parser
    from sqrtscale.tasks.adapters.published import DATA_SETS

    for data_set in DATA_SETS.values():
        for line in [line for lines in data_set.settings.values() for line in lines]:
            build_parser().parse_args(["calibrate", "--task", "x", *shlex.split(line)])
    paper = scale(TrainingConfig("rmsprop", 256, {"lr": 1e-3, "alpha": 0.999, "eps": 1e-8, "weight_decay": 1e-4}), 64).config
    read = build_parser().parse_args(["calibrate", "--task", "x", *shlex.split(DATA_SETS["cifar10"].settings["tiny"][0])])
    assert (read.batch, read.lr, read.alpha, read.eps, read.weight_decay) == pytest.approx(
        (paper.batch_size, paper["lr"], paper["alpha"], paper["eps"], paper["weight_decay"]), rel=1e-12)
