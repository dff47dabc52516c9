"""The user's file as a task: its description for pages, its network and data for the process that trains."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ...rules import TrainingConfig
from .._network import Network
from .._task import SMALLEST, Data, Defaults, Metric, Task
from .file import Facts, OwnFile
from .reading import read_text
from .registry import added

if TYPE_CHECKING:
    import torch

    from .running import Running

BATCH, KAPPA, LR = 32, 4, 1e-3  # of the base configuration and the target, where nothing else is given
STEPS = 320  # of the scaled arm: as many samples as a beta2 of 0.999 remembers at the base batch, and a quarter more
MOST_REMEMBERED = 500


class OwnTask(Task):
    """A task whose model, data and loss are the user's. Nothing of the file runs before network or data are asked for."""

    version = 1

    def __init__(self, file: OwnFile):
        source = read_text(file.text, file.path)
        self.file, self.source = file, source
        self.name, self.title, self.description = file.key, source.title, source.description
        self.sample, self.micro = source.sample, source.micro
        self.train_size = file.facts.train_size
        self.sizes = {SMALLEST: file.facts.parameters}
        unit = f"per {source.sample}"
        self.metrics = {"val_loss": Metric("Validation loss", unit, "validation", "loss"),
                        "train_loss": Metric("Train loss", unit, "train", "loss")}
        self.metrics |= {f"val_{name}": Metric(f"Validation {name}", unit, "validation", name,
                                               higher_is_better=name in source.higher_is_better) for name in file.facts.metrics}
        self.defaults = _defaults(source.micro or 1, file.facts)

    def grouped(self, base: TrainingConfig) -> TrainingConfig:
        """A base configuration with the parameter groups of the task."""
        return replace(base, groups=tuple(group.at(base) for group in self.file.facts.groups))

    @cached_property
    def running(self) -> Running:
        """The file, imported into this process."""
        from .running import Running

        return Running(self.file, self.source)

    @property
    def stacks(self) -> bool:
        """Whether its models train as a stack: the file says how, in full precision and without parameter groups."""
        return "stacked" in self.source.functions and self.source.precision == "fp32" and not self.file.facts.groups

    def network(self, size: str = SMALLEST) -> Network:
        from .running import OwnNetwork
        from .stacking import stack_of

        if self.stacks:
            return stack_of(self.running)
        return OwnNetwork(self.running, self.file.facts.groups)

    def data(self, device: torch.device) -> Data:
        from .running import OwnData
        from .stacking import StackData

        if self.stacks:
            return StackData(self.running, device)
        return OwnData(self.running, device)


def _defaults(micro: int, facts: Facts) -> Defaults:
    """The configuration that its files say, else Adam's; a batch of about BATCH and a target of about KAPPA of them in whole
    micro-batches, and STEPS steps at the target."""
    batch = micro * max(1, min(BATCH, facts.train_size // KAPPA) // micro)
    base = facts.configuration.at(batch) if facts.configuration else TrainingConfig("adam", batch, {"lr": LR})
    target = KAPPA * base.batch_size
    return Defaults(base, target, samples=STEPS * target, warm_samples=STEPS * target,
                    seeds=5, evaluations=32)


_KNOWN: dict[str, OwnTask] = {}


def remember(file: OwnFile, renew: bool = False) -> OwnTask:
    """The task of a file, known by its key in this process from now on; renew: also where it was known with other facts."""
    about = _KNOWN.get(file.key)
    if about is None or (renew and about.file != file):
        while len(_KNOWN) >= MOST_REMEMBERED:
            del _KNOWN[next(iter(_KNOWN))]
        about = _KNOWN[file.key] = OwnTask(file)
    return about


def known(name: str) -> OwnTask | None:
    """The task of that key, or of that name as it was added last; None where there is none."""
    if name in _KNOWN:
        return _KNOWN[name]
    file = added().get(name.partition("@")[0])
    return remember(file, renew=True) if file is not None and name in (file.name, file.key) else None
