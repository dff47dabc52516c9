"""One model of a user's file trained by hand: its own loss.backward() and torch.optim.Adam, on the samples of our streams."""

import random
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import default_collate

from sqrtscale.tasks.own import Facts, OwnFile, OwnTask, read_file
from sqrtscale.tasks.own.running import OwnData
from sqrtscale.training.chance import Chance
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
FILES = sorted((Path(__file__).parents[1] / "recipes" / "own").glob("*.py"))


def own(path, **facts):
    """A task of that file, as if it had been checked."""
    metrics = ("accuracy",) if "def metrics" in read_file(path) else ()
    return OwnTask(OwnFile(path.stem, str(path), read_file(path), Facts(**({"parameters": 1, "train_size": 300,
                                                                            "validation_size": 64, "metrics": metrics} | facts))))


def namespace(about):
    """The file run by hand, as a script of the user's would have it."""
    names = {"__name__": "plain", "__file__": about.file.path}
    exec(compile(about.file.text, about.file.path, "exec"), names)
    return names


def plain_samples(names, split, places, seeds):
    """The batch of those places, each sample drawn from its own seed."""
    torch.manual_seed(0)
    dataset = names["data"](split)
    if isinstance(dataset, dict):
        return {name: tensor[places] for name, tensor in dataset.items()}
    if isinstance(dataset, tuple):
        return tuple(tensor[places] for tensor in dataset)
    samples = []
    for place, seed in zip(places, seeds, strict=True):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        samples.append(dataset[place])
    return names.get("collate", default_collate)(samples)


class Plain:
    """One model of the file, its own loss.backward() and torch.optim.Adam."""

    def __init__(self, about, seed, config):
        self.about, self.names = about, namespace(about)
        torch.manual_seed(seed)
        self.model = self.names["model"]()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, config["lr"], (config["beta1"], config["beta2"]), config["eps"])

    def train(self, seed, steps, batch):
        """From scratch on the stream of that seed."""
        stream = Stream(OwnData(self.about.running, CPU), seed, "branch")
        for step in range(steps):
            self.step(stream.take(batch), Chance("branch", (seed,), step * batch))

    @torch.no_grad()
    def validation_loss(self):
        """The mean over the validation data, in the micro-batches of the file."""
        self.model.eval()
        count = self.about.file.facts.validation_size
        micro = self.about.micro or count
        losses = []
        for first in range(0, count - count % micro, micro):
            places = list(range(first, first + micro))
            seeds = [self.about.file.facts.train_size + place for place in places]
            losses.append(self.loss(plain_samples(self.names, "validation", places, seeds)).item())
        return sum(losses) / len(losses)

    def loss(self, samples):
        """The file's own, in its precision."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.about.source.precision == "bf16"):
            return self.names["loss"](self.model, samples).float()

    def step(self, batch, chance):
        """On places and seeds, in the micro-batches of the file."""
        micro = self.about.micro or batch.count()
        self.model.train()
        self.optimizer.zero_grad()
        for first in range(0, batch.count(), micro):
            places, seeds = (x[first : first + micro].tolist() for x in batch.inputs)
            samples = plain_samples(self.names, "train", places, seeds)
            torch.manual_seed(chance.later(first).seed(0))
            (self.loss(samples) * micro / batch.count()).backward()
        self.optimizer.step()
