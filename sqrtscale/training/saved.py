"""The third start of a calibration: the user's own checkpoint as a population of one model, from which the arms branch.

It stands where the end of a warm start would stand, so every arm takes weights, moments and bias correction from it by the same
move (``Population.branch_from``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..plan import CalibrationPlan
from ..rules import TrainingConfig
from ..tasks import Checkpoint, OwnTask, Task
from ..tasks.own import OF_A_GROUP, Group, KnownConfiguration
from ..transfer.checkpoint.hyperparameters import configuration, group_names
from ..transfer.checkpoint.matching import Matched, ModelNames, match
from ..transfer.checkpoint.reading import refusal
from ..transfer.checkpoint.saved import SavedTraining, read_saved, sha256
from ..transfer.optimizer_state import step_counts
from .optimizers import make_optimizer
from .optimizers._optimizer import StackedOptimizer
from .optimizers.nadam import WARMUP
from .population import Population

FORGOTTEN = 1e-3  # share of the bias correction that may differ between parameters that have made different numbers of steps


def branch_point(plan: CalibrationPlan, about: Task, device: torch.device) -> Population:
    """The model that the plan's checkpoint holds, as it would go on at the base configuration.

    Raises FieldError for a checkpoint that is another one by now, or not one of this model.
    """
    checkpoint = plan.checkpoint
    assert checkpoint is not None and isinstance(about, OwnTask)
    saved = read_saved(Path(checkpoint.path))
    if sha256(saved.files) != checkpoint.sha256:
        raise refusal(checkpoint.path, "has changed since it was looked at: add the task again, or give it by --checkpoint again")
    population = Population(about, [plan.base], [plan.seeds[0]], device, size=plan.size, stream="checkpoint")
    load(population, saved, match(saved, names_of(about)))
    return population


@dataclass(frozen=True)
class Looked:
    """What ``look`` found: the checkpoint as a plan keeps it, the configuration that goes on from it, what is in it.

    groups: parameter groups of its optimizer that have values of their own.
    """

    checkpoint: Checkpoint
    configuration: KnownConfiguration
    saved: SavedTraining
    matched: Matched
    groups: tuple[Group, ...] = ()

    def population(self, about: Task, device: torch.device) -> Population:
        """The model that it holds."""
        made = Population(about, [self.configuration.at(about.defaults.base.batch_size)], [0], device, stream="checkpoint")
        load(made, self.saved, self.matched)
        return made

    @property
    def notes(self) -> list[str]:
        """What is not as a user might think, a sentence each."""
        left, absent, unused = self.matched.left, len(self.matched.groups) - len(self.matched.state), self.matched.unused
        return [text for text, is_so in (
            (f"{len(left)} frozen tensors are not in the checkpoint and stay as model() makes them", left),
            (f"{absent} trained parameters have no optimizer state in the checkpoint and start without", absent),
            (f"{unused} tensors of the checkpoint are none of the model's and are left out", unused)) if is_so]


def look(path: Path, about: OwnTask, known: KnownConfiguration | None) -> Looked:
    """Read a checkpoint and hold it against the model of a task. known: what another file says, where the optimizer does not."""
    saved = read_saved(path)
    config = configuration(saved)
    if saved.family is None and known is not None and known.config.optimizer in ("adam", "adamw"):
        config = replace(config, optimizer=known.config.optimizer)
    matched = match(saved, names_of(about))
    own = _groups(saved, config, matched)
    config = replace(config, groups=())
    counts = step_counts(saved.optimizer)
    steps = counts[1] if counts else saved.steps
    if known is not None:
        config = replace(config, batch_size=known.config.batch_size, run=known.config.run)
    checkpoint = Checkpoint(str(path), sha256(saved.files), saved.form, config.optimizer, steps)
    source = path.name if known is None else f"{path.name} and {known.source}"
    return Looked(checkpoint, KnownConfiguration(config, source, known is not None and known.batch_known), saved, matched,
                  own)


def _groups(saved: SavedTraining, config: TrainingConfig, matched: Matched) -> tuple[Group, ...]:
    """The groups of an optimizer with what they have otherwise than the first; raises FieldError where that is not trained."""
    named = {name: i for i, name in enumerate(group_names(saved.optimizer["param_groups"]))}
    groups = []
    for group in config.groups:
        values = dict(group.values)
        if "lr" in values:
            values["lr_factor"] = values.pop("lr") / config["lr"]
        strange = sorted(set(values) - set(OF_A_GROUP))
        if strange:
            raise refusal(saved.path, f"has parameter groups that differ in {', '.join(strange)}: a calibration trains those "
                                      f"that differ in {', '.join(name for name in OF_A_GROUP if name != 'lr_factor')}")
        members = tuple(name for name, i in matched.groups.items() if i == named[group.name])
        if members:
            groups.append(Group(group.name, tuple(values.items()), members))
    return tuple(groups)


def names_of(about: OwnTask) -> ModelNames:
    """What a task's module calls its tensors, as state_dict() has them, and its trained parameters by the groups of its file."""
    module: nn.Module = about.running.model(0)
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    shapes = {name: (tuple(p.shape), p.requires_grad) for name, p in module.named_parameters()}
    saved = set(module.state_dict())
    return ModelNames(
        trained={name: shape for name, (shape, trained) in shapes.items() if trained},
        frozen={name: shape for name, (shape, trained) in shapes.items() if not trained},
        kept={name: tuple(buffer.shape) for name, buffer in module.named_buffers() if name in saved},
        tied={first: tuple(others) for first, *others in names.values() if others},
        order=tuple(shapes), groups=tuple(group.parameters for group in about.running.groups()))


@torch.no_grad()
def load(population: Population, saved: SavedTraining, matched: Matched) -> None:
    """Weights, buffers, frozen parts and optimizer state into the first model of a population, in its own precision."""
    for held in (population.views, population.buffers, population.frozen):
        for name, stack in held.items():
            if name in matched.tensors:
                stack[:1].copy_(matched.tensors[name][None])
    base = population.configs[0]
    own = replace(configuration(saved), optimizer=base.optimizer, batch_size=base.batch_size, groups=())
    optimizer = make_optimizer([own], population.flat[:1])  # by its own decays, over which its steps are counted
    entries = [matched.state.get(name, {}) for name in population.views]
    for piece in optimizer.pieces:
        if not piece.per_model:
            optimizer.state[piece.name][:1].copy_(_flat(population, entries, piece.name, piece.start))
    optimizer.steps.fill_(_steps(saved, optimizer, dict(zip(population.views, entries, strict=True))))
    if "mu_product" in optimizer.state:
        products = {float(entry["mu_product"]) for entry in entries if "mu_product" in entry}
        optimizer.state["mu_product"].fill_(max(products, default=1.0))
        optimizer.state[WARMUP].copy_(optimizer.steps * optimizer.exact["momentum_decay"])
    population.optimizer.take(optimizer, torch.zeros(len(population), dtype=torch.long, device=population.device))
    population.executor.forget()


def _flat(population: Population, entries: Sequence[Mapping[str, Any]], piece: str, start: float) -> Tensor:
    """A piece of the state of all parameters one behind the other, [1, P]; ``start`` where a parameter has none."""
    pieces = []
    for view, entry in zip(population.views.values(), entries, strict=True):
        value = entry.get(piece)
        pieces.append(torch.full_like(view[0], start).flatten() if value is None
                      else value.to(device=view.device, dtype=view.dtype).flatten())
    return torch.cat(pieces)[None]


def _steps(saved: SavedTraining, optimizer: StackedOptimizer, entries: Mapping[str, Mapping[str, Any]]) -> float:
    """Steps that the state has made; raises FieldError where its parameters differ in them by more than is forgotten.

    One without state has made none: with the others' count its second moment would begin at 0 and never be corrected for it.
    """
    if not any("step" in entry for entry in entries.values()):
        return 0.0
    steps = {name: float(entry.get("step", 0)) for name, entry in entries.items()}
    decay = float(optimizer.exact[optimizer.second_decay][0]) if optimizer.second_decay else 0.0
    least, most = min(steps.values()), max(steps.values())
    if decay**least - decay**most > FORGOTTEN:
        absent = [name for name, entry in entries.items() if "step" not in entry]
        if absent:
            raise refusal(saved.path, f"has no optimizer state of {absent[0]}, which the model trains: freeze it in model() if "
                                      "that training never moved it, or save a checkpoint once it has")
        raise refusal(saved.path, f"has parameters that have made from {least:g} to {most:g} steps, and a calibration "
                                  "has one count for all: save one of a longer training")
    return most
