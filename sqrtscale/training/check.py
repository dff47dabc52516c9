"""Whether a user's file can be calibrated, tried out: each thing that is looked at becomes a sentence.

``python -m sqrtscale.training.check FD`` reads ``{"name", "path", "text", "device", "target", "checkpoint", "configuration"}`` as
JSON on standard input and writes ``{"facts", "findings", "log"}`` to that file descriptor: what the user's code prints goes
elsewhere. Whoever starts it limits its time and memory.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..processes import leave
from ..rules import FieldError
from ..tasks import Batch, OwnFile, OwnTask, OwnTaskError
from ..tasks.own import Facts, Finding, KnownConfiguration, beside_users_code
from ..tasks.own.running import Running
from ..tasks.own.stacking import check_stack
from . import saved
from .chance import drawing, seed_generators
from .device import fast_settings, resolve
from .out_of_memory import is_out_of_memory
from .own_configuration import read_configuration
from .population import Population
from .regime import MICRO, gradient_noise
from .step_time import TIMED, WORTH_WORKERS, rounded, slow_loading, step_time
from .streams import Stream

SAME = 1e-4  # relative difference of two losses that count as equal; of 16 bits by HALF times as much
HALF = 100
NOISE_BATCHES, AT_CHECKPOINT = 16, 128  # micro-batches of the noise scale; a trained model has less signal in each
NORMS = (nn.modules.batchnorm._BatchNorm,)
UNKNOWN = Facts(1, 1, 1)


class Unusable(Exception):
    """The file cannot be calibrated, for the reason that the last finding says."""


class Check:
    """What was found so far; ``run`` goes on until something forbids a calibration."""

    def __init__(self, file: OwnFile, device: str, target: int | None, checkpoint: Path | None = None,
                 configuration: KnownConfiguration | None = None):
        self.device, self.target = resolve(device)[0], target
        self.checkpoint, self.configuration = checkpoint, configuration
        self.facts = UNKNOWN
        self.findings: list[Finding] = []
        self.log, self.file, self.precision = "", file, ""

    def run(self) -> None:
        """Everything, each thing only where what it needs was good."""
        try:
            about = OwnTask(self.file)
            self.precision = about.source.precision
            with fast_settings(about), beside_users_code(self.file.path):
                self._look(about)
        except Unusable:
            return
        except OwnTaskError as error:
            self.log = error.log
            self.findings.append(Finding("bad", str(error)))
        except FieldError as error:
            self.findings.append(Finding("bad", str(error)))
        except (MemoryError, RuntimeError) as error:
            text = " ".join(str(error).split())[:300]
            if is_out_of_memory(error):
                text = (f"it runs out of memory ({text or 'MemoryError'}): make model or data smaller, load samples in "
                        "__getitem__, or set MICRO")
            self.findings.append(Finding("bad", text))
        except (LookupError, OSError, TypeError, ValueError) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.findings.append(Finding("bad", f"{text} ({Path(place.filename).name}, line {place.lineno})"))

    def _look(self, about: OwnTask) -> None:
        network, running = about.network(), about.running
        train, validation = running.length("train"), running.length("validation")
        parameters = len(network.initial(0))
        frozen = sum(x.numel() for x in network.frozen(0).values())
        groups = running.groups()
        self.facts = Facts(parameters, train, validation, groups=tuple(group for group in groups if group.values))
        for split, count in (("train", train), ("validation", validation)):
            if count < (about.micro or 1):
                self._bad(f"MICRO = {about.micro} is more than the {count} samples of data({split!r}): give it a smaller one")
        self._good(f"{train:,} training and {validation:,} validation {about.samples}, {parameters:,} trained parameters"
                   + (f", {frozen:,} frozen ones that all models share" if frozen else ""))
        for group in groups:
            own = ", ".join(f"{name} {value:.8g}" for name, value in group.values) or "nothing"
            self._good(f"{group.name}: {len(group.parameters)} tensors, which set {own} themselves")
        self._starts(running)
        if "collate" in about.source.functions and not running.collates:
            self._warn("collate(samples) is never called: data(split) gives tensors, whose batches are made as they are")
        population = self._population(about, 1)
        if about.stacks:
            check_stack(running, network, lambda batch: population.gradients(batch.map(lambda x: x.to(self.device)))[1])
            how = ("one after another, because of their parameter groups" if self.facts.groups else
                   f"as a stack ({population.executor.name})")
            self._good(f"stacked() has the parameters, loss and gradient of model() and loss(): models train {how}")
        self._losses(about, population)
        self._own_configuration(about)
        values = population.executor.evaluate(population, about.data(self.device).validation)
        names = tuple(name for name in values if name != "loss")
        self.facts = replace(self.facts, metrics=names)
        if unknown := [name for name in about.source.higher_is_better if name not in names]:
            self._warn(f"HIGHER_IS_BETTER names {', '.join(unknown)}, which metrics does not return")
        for name, value in values.items():
            if not torch.isfinite(value).all():
                self._bad(f"the {name} on the validation data is {value.item()} at the start: look for a division or a logarithm")
        self._good(f"validation loss at the start: {values['loss'].item():.4g}"
                   + "".join(f", {name} {values[name].item():.4g}" for name in names))
        self.facts = replace(self.facts, configuration=self.configuration)
        told = OwnTask(replace(self.file, facts=self.facts))
        start = told.defaults.base
        self._noise(told, self._population(told, start.batch_size))
        if self.checkpoint is not None:
            self._saved(told, self.checkpoint)
            told = OwnTask(replace(self.file, facts=self.facts))
        told.grouped(told.defaults.base)
        if self.facts.configuration is not None:
            self._configuration(told, self.facts.configuration)
        self._target(told, self.target or told.defaults.target_batch)

    def _starts(self, running: Running) -> None:
        """model(): another module at every call, with the same weights from the same seed."""
        first = running.model(0)
        own = {id(parameter) for parameter in first.parameters() if parameter.requires_grad}
        for seed in (0, 1):
            made = running.model(seed)
            if any(id(parameter) in own for parameter in made.parameters()):
                self._bad("model() gives the same parameters at every call, so that one run would go on in another's weights: "
                          "make the module in model() itself, not at import")
            same = all(map(torch.equal, first.parameters(), made.parameters()))
            if seed == 0 and not same:
                self._bad("model() starts from other weights at the same seed: draw them by torch, NumPy or random, whose "
                          "generators are seeded before it is called")
        if same:
            self._good("every seed starts from the same weights, as those of a file: seeds differ by the samples, and by chance "
                       "in training")

    def _population(self, about: OwnTask, batch: int) -> Population:
        return Population(about, [replace(about.defaults.base, batch_size=batch)], [0], self.device)

    def _own_configuration(self, about: OwnTask) -> None:
        """The configuration that the file tells. Where it cannot be read the file can be calibrated as well."""
        running, otherwise = about.running, OwnTask(replace(self.file, facts=self.facts)).defaults.base
        if "configuration" not in about.source.functions:
            return
        try:
            told = read_configuration(running.call("configuration", running.model(0)), otherwise.batch_size)
        except (FieldError, OwnTaskError) as error:
            self._warn(f"its configuration cannot be read: {error}")
            return
        if self.checkpoint is not None or self.configuration is not None:
            self._warn("configuration(model) is left out: CHECKPOINT and CONFIG say the base configuration, where there are such")
            return
        self._good(f"the values of its optimizer, which is never stepped: sqrtscale calibrate "
                   f"--task {self.file.name} {told.flags}")
        for note in told.notes:
            self._warn(note)

    def _losses(self, about: OwnTask, population: Population) -> None:
        """Repeatable, finite, a mean: by a few passes on two halves of a batch."""
        micro = about.micro or 1
        half = max(micro, 16 // micro * micro)
        batch = Stream(about.data(self.device), 0, "check").take(2 * half)
        both, first, second = (batch.cut(piece) for piece in (slice(2 * half), slice(half), slice(half, 2 * half)))
        losses = [_loss(population, both, seed) for seed in (0, 0, 1)]
        if not all(torch.isfinite(loss) for loss in losses):
            self._bad(f"the loss is {losses[0].item()} at the start: look for a division, a logarithm or a missing normalisation")
        if self._differ(losses[0], losses[1]):
            self._bad("the loss is another one from the same weights, samples and seed: draw random numbers by torch's own "
                      "generator in model and loss, and keep no state outside of parameters and buffers")
        self._good("the same weights, samples and seed give the same loss")
        draws = self._differ(losses[0], losses[2])
        self._mean(about, population, (both, first, second), draws)
        gradient = population.gradients(both.map(lambda x: x[None]))[1]
        if not torch.isfinite(gradient).all():
            self._bad("the gradient is not finite at the start: look for a square root or a division at 0")
        if not gradient.any():
            self._bad("the gradient is 0 everywhere: the loss does not depend on the trained parameters")
        pieces = torch.split(gradient[0], [view.numel() for view in population.views.values()])
        unused = [name for name, piece in zip(population.views, pieces, strict=True) if not piece.any()]
        self._good("the gradient is finite") if not unused else self._warn(
            f"the gradient is 0 in {len(unused)} of {len(population.views)} parameters, for example {unused[0]}: as it should be "
            "where an output starts at 0, a mistake where a part is left out")

    def _mean(self, about: OwnTask, population: Population, batches: tuple[Batch, Batch, Batch], draws: bool) -> None:
        """L(a + b) = (L(a) + L(b)) / 2: in evaluation, and in training where nothing is drawn."""
        whole, first, second = (_loss(population, batch, 0, training=False) for batch in batches)
        mean = (first + second) / 2
        if self._differ(whole, mean) and not self._differ(whole, first + second):
            self._bad("the loss is a sum over the batch, not its mean: L(a + b) = L(a) + L(b). Divide it by the number of "
                      'samples, or take reduction="mean"')
        coupled = self._differ(whole, mean)
        if not coupled and not draws:
            whole, first, second = (_loss(population, batch, 0) for batch in batches)
            coupled = self._differ(whole, (first + second) / 2)
        if about.micro:
            self._good(f"the unit of a batch is a micro-batch of {about.micro}: its samples may depend on each other")
        elif coupled or _has_batch_norm(about.running.model(0)):
            self._bad("the loss of a batch is not the mean of its halves' in training: its samples depend on each other, as with "
                      "batch norm, a contrastive loss or a mean over tokens of different lengths. Set MICRO = 32, say: every "
                      "batch is then made of micro-batches of 32")
        else:
            self._good("the loss is a mean: L(a + b) = (L(a) + L(b)) / 2")

    def _saved(self, about: OwnTask, path: Path) -> None:
        """The checkpoint: whether it is one of this model, and what the noise scale is there."""
        seen = saved.look(path, about, self.configuration)
        self.facts = replace(self.facts, checkpoint=seen.checkpoint, configuration=seen.configuration,
                             groups=seen.groups)
        population = seen.population(OwnTask(replace(self.file, facts=self.facts)), self.device)
        loss = population.executor.evaluate(population, about.data(self.device).validation)["loss"]
        if not torch.isfinite(loss).all():
            self._bad(f"the validation loss at the checkpoint is {loss.item()}: give one from before the training diverged")
        self._good(f"the arms branch from the checkpoint {seen.checkpoint.words}, validation loss {loss.item():.4g}")
        for note in seen.notes:
            self._warn(note)
        self._noise(about, population, at_checkpoint=True)

    def _configuration(self, about: OwnTask, known: KnownConfiguration) -> None:
        """What the base configuration is, and from where."""
        batch = {"batch": known.config.batch_size} if known.batch_known else {}
        told = {**known.config.hyperparameters, **known.config.run, **batch}
        values = ", ".join(f"{name} {value:.8g}" for name, value in told.items())
        self._good(f"the base configuration is that of {known.source}: {known.config.optimizer}, {values}")
        for group in self.facts.groups if self.facts.checkpoint else ():
            own = ", ".join(f"{name} {value:.8g}" for name, value in group.values)
            self._good(f"{group.name}: {len(group.parameters)} tensors with {own}")
        if not known.batch_known:
            self._warn(f"no file says at which global batch it was trained: {about.defaults.base.batch_size} is taken where "
                       "--batch says nothing else")

    def _noise(self, about: OwnTask, population: Population, at_checkpoint: bool = False) -> None:
        """tr(Sigma) / |G|^2, said with what it means for kappa."""
        size, where = about.micro or MICRO, "at the checkpoint" if at_checkpoint else "at the start"
        stream = Stream(about.data(self.device), 0, "regime")
        count = AT_CHECKPOINT if at_checkpoint else NOISE_BATCHES
        batches = (stream.take(size).map(lambda x: x[None]) for _ in range(count))
        values = gradient_noise(population, (population.gradients(batch, place=i)[1] for i, batch in enumerate(batches)), size)
        signal, noise = (float(values[name][0]) for name in ("signal", "noise"))
        if not signal > 0:
            self._good(f"noise scale {where}: larger than these {count * size:,} samples can measure")
        elif not at_checkpoint:
            self._good(f"noise scale at the start: about {rounded(noise / signal)} {about.samples}. It grows as the loss falls; "
                       "the rule holds for batches well below it, so a calibration measures it again after its warm start")
        else:
            self._good(f"noise scale at the checkpoint: about {rounded(noise / signal)} {about.samples}. "
                       + _how_far(noise / signal, population.batch_size))

    def _target(self, about: OwnTask, target: int) -> None:
        """Time and memory of steps at base and target."""
        base = about.defaults.base.batch_size
        unit = about.micro or 1
        if target > self.facts.train_size or target % unit:
            self._warn(f"a target batch of {target} cannot be trained: give at most the {self.facts.train_size} training "
                       f"{about.samples}" + (f", in whole micro-batches of {unit}" if unit > 1 else ""))
            return
        for batch in dict.fromkeys((base, target)):
            population = self._population(about, batch)
            step, loading = step_time(about, population)
            memory = population.executor.peak_bytes(population) + 8 * population.flat.nbytes
            ahead = about.running.loads and not about.stacks
            told = "" if not loading else (
                f", while its workers load the next batch in {rounded(1000 * loading)} ms" if ahead else
                f", {loading / (loading + step):.0%} of it loading samples")
            took = max(loading, step) if ahead else loading + step
            self._good(f"a step at batch {batch} takes about {rounded(1000 * took)} ms{told}, and "
                       f"{max(1, round(memory / 1e6)):,} MB on {self.device}")
            if not torch.isfinite(population.flat).all():
                self._bad(f"after {TIMED} steps at batch {batch} the weights are not finite: look at the loss")
        if loading > max(step, WORTH_WORKERS):
            self._warn(slow_loading(about.source.workers, loading / step))

    def _differ(self, first: Tensor, second: Tensor) -> bool:
        tolerance = SAME * (HALF if self.precision in ("bf16", "fp16") else 1)
        return bool((first - second).abs() > tolerance * (first.abs() + second.abs()) / 2 + 1e-7)

    def _good(self, text: str) -> None:
        self.findings.append(Finding("good", text))

    def _warn(self, text: str) -> None:
        self.findings.append(Finding("warning", text))

    def _bad(self, text: str) -> None:
        self.findings.append(Finding("bad", text))
        raise Unusable


def _how_far(noise_scale: float, base: int) -> str:
    """Up to which batch the rule is tested, half the noise scale: near it the signal has its share."""
    most = noise_scale / 2
    if most <= base:
        return (f"A base batch of {base} lies above half of it, so the signal has its share there: give a smaller one, or test "
                "the noise-aware transfer")
    return (f"The rule holds well below it: a target up to about {rounded(most)}, kappa {rounded(most / base)} from batch "
            f"{base}, is a test of it")


@torch.no_grad()
def _loss(population: Population, batch: Batch, seed: int, training: bool = True) -> Tensor:
    """The loss of the first model on a batch in one pass, which leaves no trace in its buffers."""
    network = population.network
    first = slice(1) if network.stacked else 0
    held = {name: x[first].clone() for name, x in population.buffers.items()}
    held |= {name: x[first] for name, x in population.frozen.items()}
    batch = batch.map(lambda x: x[None]) if network.stacked else batch
    with drawing(population.device):
        seed_generators(population.device, seed)
        predictions = network({name: view[first] for name, view in population.views.items()}, batch.inputs, held, training)
    return network.losses(predictions, batch.targets).mean()


@torch.no_grad()
def _has_batch_norm(module: nn.Module) -> bool:
    """Whether a layer of the module takes statistics over the batch when it trains."""
    return any(isinstance(part, NORMS) and part.training for part in module.train().modules())


def main(arguments: list[str]) -> int:
    """Standard input to the file descriptor; exit code 2 and one line for what cannot be checked at all."""
    given = json.load(sys.stdin)
    try:
        check = Check(OwnFile(given["name"], given["path"], given["text"], UNKNOWN), given["device"], given["target"],
                      Path(given["checkpoint"]) if given["checkpoint"] else None,
                      KnownConfiguration.from_dict(given["configuration"]) if given["configuration"] else None)
    except FieldError as error:
        print(error, file=sys.stderr)
        return 2
    check.run()
    answer: dict[str, Any] = {"facts": check.facts.as_dict(), "findings": [asdict(finding) for finding in check.findings],
                              "log": check.log}
    with os.fdopen(int(arguments[0]), "w") as file:
        json.dump(answer, file)
    return 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
