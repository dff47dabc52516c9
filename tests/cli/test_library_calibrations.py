"""Models of transformers and Lightning calibrated by the command line, held to plain loops over their own classes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_folders import LENGTH, bert_folder, gpt2_folder, text_folder
from plain_own import Plain
from torch.nn import functional as F
from transformers import AutoTokenizer, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from sqrtscale.store import Store
from sqrtscale.tasks import OwnTask
from sqrtscale.tasks.adapters.huggingface import HuggingFace

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[2]
POINTS = ROOT / "tests" / "recipes" / "lightning" / "points.py"
BATCH, TARGET, SAMPLES = 16, 32, 256


def run(*arguments):
    """What a command prints that must succeed."""
    done = subprocess.run([sys.executable, "-m", "sqrtscale", *map(str, arguments)], text=True, capture_output=True, cwd=ROOT,
                          stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class ByHand(Plain):
    """The loop of the user's own files, with functions that know nothing of adapters."""

    def __init__(self, about, config, names):
        self.about, self.names = about, names
        torch.manual_seed(0)
        self.model = names["model"]()
        self.trained = list(self.model.parameters())
        self.optimizer = torch.optim.Adam(self.trained, config["lr"], (config["beta1"], config["beta2"]), config["eps"])


def gpt2(tmp_path):
    """From random weights; the loss from the logits."""
    folder, text = gpt2_folder(tmp_path / "gpt2"), text_folder(tmp_path / "text")
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def data(split):
        tokens = torch.tensor(tokenizer((text / f"wiki.{split[:5]}.raw").read_text())["input_ids"])
        return (tokens[: len(tokens) // LENGTH * LENGTH].view(-1, LENGTH),)

    def loss(model, batch):
        return F.cross_entropy(model(batch[0]).logits[:, :-1].flatten(0, 1), batch[0][:, 1:].flatten())

    return [f"hf:{folder}", "--data", text, "--kind", "causal", "--length", LENGTH], {
        "model": lambda: GPT2LMHeadModel(GPT2Config.from_pretrained(folder)), "data": data, "loss": loss}


def bert(tmp_path):
    """From the weights of its folder; what is masked is the adapter's."""
    folder, text = bert_folder(tmp_path / "bert"), text_folder(tmp_path / "text")
    return [f"hf:{folder}", "--data", text, "--kind", "masked", "--length", LENGTH], {
        "model": lambda: BertForMaskedLM.from_pretrained(folder),
        "data": HuggingFace(str(folder), str(text), "masked", LENGTH).data,
        "loss": lambda model, batch: model(**batch).loss}


def points(tmp_path):
    """A LightningModule with dropout."""
    names = {"__name__": "points"}
    exec(POINTS.read_text(), names)

    def data(split):
        module = names["Points"]()
        module.setup("fit")
        return module.train if split == "train" else module.held

    return [f"lightning:{POINTS}", "--module", "Classifier", "--data", "Points"], {
        "model": names["Classifier"], "data": data,
        "loss": lambda model, batch: F.cross_entropy(model.layers(batch[0]), batch[1])}


@pytest.mark.parametrize("made", [gpt2, bert, points])
def test_every_arm_ends_where_a_plain_loop_ends(made, tmp_path, home):
    options, names = made(tmp_path)
    said = run("tasks", "add", *options, "--name", "theirs", "--device", "cpu")
    assert "ok   the loss is a mean" in said and "theirs is added: sqrtscale calibrate --task theirs" in said
    assert ("sqrtscale calibrate --task theirs --optimizer adamw --batch 16 --lr 0.003 " in said) == (made is points)
    shown = json.loads(run("calibrate", "--task", "theirs", "--batch", BATCH, "--target", TARGET, "--optimizer", "adam",
                           "--lr", 1e-2, "--start", "scratch", "--seeds", 1, "--samples", SAMPLES, "--evaluations", 2,
                           "--device", "cpu", "--go-on", "--arms", "base", "--wait", "--json"))
    store = Store.open()
    record, curves = store.get(shown["id"]), store.curves(shown["id"])
    store.close()
    assert (record.state, record.executors) == ("DONE", "looped")
    for arm in ("base", "scaled"):
        config = record.plan.config_of(arm)
        plain = ByHand(OwnTask(record.plan.own), config, names)
        plain.train(0, SAMPLES // config.batch_size, config.batch_size)
        curve = curves[(curves["arm"] == arm) & (curves["metric"] == "val_loss")]
        assert curve["value"].iloc[-1] == pytest.approx(plain.validation_loss(), rel=1e-4)
        assert curve["value"].nunique() == len(curve) == 3  # it moved
