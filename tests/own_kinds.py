"""What users add by one command: data and models of every kind, each with the plain functions that it is held to.

A kind is made in a folder: (arguments of ``tasks add``, names of model, data and loss that know nothing of adapters, or None
where those of the task's own file are plain ones).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from model_folders import LENGTH, bert_folder, glue_folder, gpt2_folder, text_folder
from PIL import Image
from plain_own import FILES, Plain
from torch.nn import functional as F
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from sqrtscale.tasks import OwnFile
from sqrtscale.tasks.adapters import adapter_of
from sqrtscale.tasks.adapters.huggingface import HuggingFace
from sqrtscale.tasks.own import add, read_file
from sqrtscale.tasks.own.registry import draft, keep_draft
from sqrtscale.training.check import UNKNOWN, Check

POINTS = Path(__file__).parent / "recipes" / "lightning" / "points.py"


class ByHand(Plain):
    """The loop of the user's own files, with functions that know nothing of adapters."""

    def __init__(self, about, config, names):
        self.about, self.names = about, names
        torch.manual_seed(0)
        self.model = names["model"]()
        self.trained = list(self.model.parameters())
        self.optimizer = torch.optim.Adam(self.trained, config["lr"], (config["beta1"], config["beta2"]), config["eps"])


def plain_loop(about, config, names):
    """One model of the task, seed 0, to be trained by hand."""
    return Plain(about, 0, config) if names is None else ByHand(about, config, names)


def gpt2(folder):
    """From random weights; the loss from the logits."""
    model, text = gpt2_folder(folder / "gpt2"), text_folder(folder / "text")
    tokenizer = AutoTokenizer.from_pretrained(model)

    def data(split):
        tokens = torch.tensor(tokenizer((text / f"wiki.{split[:5]}.raw").read_text())["input_ids"])
        return (tokens[: len(tokens) // LENGTH * LENGTH].view(-1, LENGTH),)

    def loss(model, batch):
        return F.cross_entropy(model(batch[0]).logits[:, :-1].flatten(0, 1), batch[0][:, 1:].flatten())

    return [f"hf:{model}", "--data", text, "--kind", "causal", "--length", LENGTH], {
        "model": lambda: GPT2LMHeadModel(GPT2Config.from_pretrained(model)), "data": data, "loss": loss}


def bert(folder):
    """From the weights of its folder; what is masked is the adapter's."""
    model, text = bert_folder(folder / "bert"), text_folder(folder / "text")
    return [f"mlm:{text}", "--model", model, "--length", LENGTH], {
        "model": lambda: BertForMaskedLM.from_pretrained(model),
        "data": HuggingFace(str(model), str(text), "masked", LENGTH).data,
        "loss": lambda model, batch: model(**batch).loss}


def sst2(folder):
    """Sentences between tabs, as GLUE has them, each padded to the longest of its batch."""
    model, glue = bert_folder(folder / "bert"), glue_folder(folder / "SST-2")
    tokenizer = AutoTokenizer.from_pretrained(model)

    def data(split):
        rows = (glue / ("train.tsv" if split == "train" else "dev.tsv")).read_text().splitlines()[1:]
        return [row.split("\t") for row in rows]

    def collate(samples):
        texts, labels = zip(*samples, strict=True)
        return tokenizer(list(texts), padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"), torch.tensor(
            [int(label) for label in labels])

    def loss(model, batch):
        return F.cross_entropy(model(**batch[0]).logits, batch[1])

    return [f"sst2:{glue}", "--model", model, "--length", LENGTH], {
        "model": lambda: BertForSequenceClassification.from_pretrained(model, config=BertConfig.from_pretrained(
            model, num_labels=2)), "data": data, "collate": collate, "loss": loss}


def points(folder):
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


def icons(folder):
    """Discs and squares of any colour and size: what /usr/share/icons is, where there is one."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:12j, -1:1:12j]
    for name, distance in (("disc", np.hypot(x, y)), ("square", np.fmax(abs(x), abs(y)))):
        (folder / "icons" / name).mkdir(parents=True)
        for i in range(80):
            picture = np.zeros((12, 12, 4), np.uint8)
            picture[distance < random.uniform(0.3, 0.9)] = [*random.integers(256, size=3), 255]
            Image.fromarray(picture).save(folder / "icons" / name / f"{i}.png")
    return [f"images:{folder / 'icons'}", "--pixels", 12], None


def words(folder):
    """Twelve notes of words in any order."""
    (folder / "notes").mkdir()
    random = np.random.default_rng(0)
    for i in range(12):
        (folder / "notes" / f"{i}.txt").write_text(" ".join(random.choice(["batch", "rate", "noise", "step", "loss"], 170)))
    return [f"text:{folder / 'notes'}", "--context", 16], None


ADAPTED = {"images": icons, "text": words}  # which train as a stack
LIBRARIES = {"gpt2": gpt2, "bert": bert, "lightning": points}
EVERY = {**{path.stem: lambda folder, path=path: ([path], None) for path in FILES}, **ADAPTED, **LIBRARIES, "sst2": sst2}


def add_checked(kind, folder):
    """What ``tasks add`` does, its check in this process, which has torch already: the file, and the names to hold it to."""
    (source, *options), names = EVERY[kind](folder)
    made = adapter_of(str(source))
    if made is None:
        file = _checked(OwnFile(kind, str(source), read_file(source), UNKNOWN))
    else:
        adapter, place = made
        given = {name.removeprefix("--"): str(value) for name, value in zip(options[::2], options[1::2], strict=True)}
        with draft(kind, adapter.text(place, given)) as path:
            file = keep_draft(_checked(OwnFile(kind, str(path), path.read_text(), UNKNOWN)))
    add(file)
    return file, names


def _checked(file):
    check = Check(file, "cpu", None)
    check.run()
    assert all(finding.level != "bad" for finding in check.findings), check.findings
    return replace(file, facts=check.facts, findings=tuple(check.findings))
