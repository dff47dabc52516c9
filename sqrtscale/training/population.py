"""A population: M models of one task and one batch size that train together in one program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arms import svag_weights
from ..rules import TrainingConfig
from ..tasks import SMALLEST, Batch, Data, Task
from . import is_out_of_memory
from .captured import Captured, capture
from .compiled import ALL_THREADS, Compiled, suits
from .memory import free_bytes, give_back, how_many_fit, pass_bytes
from .optimizers import make_optimizer

DRAW_AT_ONCE = 2048  # samples of each stream that wait on the device
BLOCK = 1024  # samples drawn at once: fixed, so that a stream is the same however it is cut into batches
MEASURE_AT_ONCE = 2**24  # numbers in one layer's output, of all models, of one forward pass when measuring
# Below this many numbers in one layer's output a step is faster on one CPU thread than on two (measured with 2 cores).
# A rule of size, not a timing: the same plan must take the same path each time.
WORTH_THREADS = 2**17
# Floating-point operations of one call of ``advance``: a fraction of a second, after which progress can be told.
WORK = {"cpu": 4e9, "cuda": 1e12}
MOST_STEPS = {"cpu": DRAW_AT_ONCE, "cuda": 16}  # of a call; a GPU works on while Python begins the next
# Floating-point operations of a step that a GPU does about as fast as Python launches its operations; from figures of an H200,
# not measured. Beyond it a CUDA graph saves little and holds much memory.
LAUNCH_BOUND = 3e10
GRAPH_SHARE = 0.25  # of the free memory that one graph may hold
GRAPH_COPIES = 16  # of the parameters that it and its trial hold beside the passes


class Stream:
    """The endless order of training samples that one seed sees, cut into pieces of any size.

    The same (seed, name) gives the same samples to every arm, whatever its batch size; another name
    ("warm start", "branch") gives an independent order.
    """

    def __init__(self, data: Data, seed: int, name: str):
        self.data = data
        self.generator = torch.Generator().manual_seed(int.from_bytes(name.encode()[:4], "little") * 100_003 + seed)
        self.rest: Batch | None = None  # drawn, not yet taken

    def take(self, count: int) -> Batch:
        """The next ``count`` samples."""
        pieces = [] if self.rest is None else [self.rest]
        while sum(len(piece.targets) for piece in pieces) < count:
            pieces.append(self.data.draw(BLOCK, self.generator))
        inputs = torch.cat([piece.inputs for piece in pieces])
        targets = torch.cat([piece.targets for piece in pieces])
        self.rest = Batch(inputs[count:], targets[count:])
        return Batch(inputs[:count], targets[:count])


class Population:
    """M models stacked along the first axis, one configuration each, all at one batch size.

    configs: one per model, same family and batch size; seeds: one per model, for initial weights; svag: 0 for ordinary steps,
    l for steps along r1 g1 + r2 g2 of two batches [Malladi et al. 2022], so that a step takes ``drawn`` = 2 B samples.
    size: of the model, one of the task's. Parameters live in one flat tensor [M, P]; ``views`` are its named pieces
    [M, *shape]. All models go through one forward pass, or as many at once as memory has room for.
    """

    def __init__(self, task: Task, configs: Sequence[TrainingConfig], seeds: Sequence[int], device: torch.device,
                 svag: int = 0, size: str = SMALLEST):
        self.task = task
        self.size = size
        self.device = device
        self.network = task.network(size)
        # By the samples of a batch: bytes of one model's forward and backward pass, and how many models go through one.
        self.pass_bytes: dict[int, int] = {}
        self.at_once: dict[int, int] = {}
        self.configs = tuple(configs)
        self.batch_size = configs[0].batch_size
        self.weights = svag_weights(svag)
        self.drawn = self.batch_size * len(self.weights)
        self.warmup_steps = torch.tensor([[c.warmup_steps or 0] for c in configs], dtype=torch.float64, device=device)
        # Numbers that a step counts up are tensors: a captured step runs no Python.
        self.taken = torch.zeros((), dtype=torch.float64, device=device)
        clips = [c.run.get("clip_norm", math.inf) for c in configs]
        self.clip_norm = torch.tensor(clips, device=device).unsqueeze(1) if min(clips) < math.inf else None
        self.clipped = torch.zeros(len(configs), device=device)  # steps since share_clipped, and how many there were
        self.since = 0
        self.called: torch.cuda.Event | None = None  # passed once the GPU has done the last call's work
        self.update_rms: Tensor | None = None  # [M], of the last step that was watched
        self._adopt(torch.stack([self.network.initial(seed) for seed in seeds]).to(device))
        self.optimizer = make_optimizer(configs, self.flat)

    def _adopt(self, flat: Tensor) -> None:
        """Take ``flat`` [M, P] as the parameters and cut it into the network's pieces."""
        self.flat, self.views = flat, {}
        self.forget_capture()
        self.compiled = Compiled(self.network, flat) if suits(self.network, len(flat), self.device) else None
        start = 0
        for name, p in self.network.parameters().items():
            size = math.prod(p.shape)
            self.views[name] = flat[:, start : start + size].view(-1, *p.shape).detach().requires_grad_()
            start += size

    def __len__(self) -> int:
        return len(self.flat)

    def branch_from(self, parent: Population, kappa: float) -> None:
        """Start every model from the parent's first one, its optimizer state moved to this batch size."""
        rows = torch.zeros(len(self), dtype=torch.long, device=self.device)
        with torch.no_grad():
            self.flat.copy_(parent.flat[:1].to(self.device))
        self.optimizer.take(parent.optimizer, rows)
        self.forget_capture()
        self.optimizer.move_to_batch(torch.full((len(self), 1), kappa, dtype=torch.float64, device=self.device))
        self.warmup_steps.zero_()  # the warm start has already warmed up

    def alone(self, row: int) -> Population:
        """A copy of one model's weights as a population of its own, with a fresh optimizer."""
        twin = Population(self.task, [self.configs[row]], [0], self.device, size=self.size)
        with torch.no_grad():
            twin.flat.copy_(self.flat[row : row + 1])
        return twin

    def losses(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of each model on its own samples: batch [M, B, ...] -> [M]."""
        return self._losses(self.views, batch, 1).flatten()

    def _losses(self, views: Mapping[str, Tensor], batch: Batch, parts: int) -> Tensor:
        """The same of each of ``parts`` equal parts of the batch, for the models whose parameters are given: [m, parts]."""
        logits = self.network(views, batch.inputs)
        each = F.cross_entropy(logits.flatten(0, -2), batch.targets.flatten(), reduction="none")
        return each.view(len(batch.targets), parts, -1).mean(2)

    def gradients(self, batch: Batch, weights: Sequence[float] = (1.0,)) -> tuple[Tensor, Tensor]:
        """Losses [M] and gradients [M, P] of every model on batch [M, B, ...].

        weights: of the gradients of as many equal parts of the batch; the losses are plain means.
        """
        samples = batch.targets.shape[1]
        self._choose_threads(samples)
        if self.compiled:
            return self.compiled.gradients(batch, weights)
        self._plan_passes(batch)
        while True:
            try:
                return self._gradients(batch, weights, self.at_once[samples])
            except (RuntimeError, MemoryError) as error:
                capturing = self.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
                if capturing or not is_out_of_memory(error) or self.at_once[samples] == 1:
                    raise
            # Here, because the error holds what the failed pass had allocated. Nothing has changed yet: half of it is tried.
            self.at_once[samples] = -(-min(self.at_once[samples], len(self)) // 2)
            give_back(self.device)

    def _plan_passes(self, batch: Batch) -> None:
        """Count the memory of one model's pass on so many samples, once, and choose how many models go through one."""
        samples = batch.targets.shape[1]
        if samples not in self.at_once:
            first = Batch(batch.inputs[:1], batch.targets[:1])
            self.pass_bytes[samples] = pass_bytes(lambda: self._losses(self._rows(0, 1), first, 1), self.flat)
            self.at_once[samples] = how_many_fit(self.pass_bytes[samples], self.device)

    def peak_bytes(self) -> int:
        """Memory of the passes made so far, at the largest batch, beside the models themselves."""
        if self.compiled:
            return self.compiled.nbytes
        return max((min(self.at_once[samples], len(self)) * each for samples, each in self.pass_bytes.items()), default=0)

    def _gradients(self, batch: Batch, weights: Sequence[float], at_once: int) -> tuple[Tensor, Tensor]:
        found = []
        for start in range(0, len(self), at_once):
            rows = slice(start, start + at_once)
            views = self.views if at_once >= len(self) else self._rows(start, start + at_once)
            losses = self._losses(views, Batch(batch.inputs[rows], batch.targets[rows]), len(weights))
            # The models share no parameter, so the gradient of the sum is each model's own gradient.
            whole = sum(weight * part.sum() for weight, part in zip(weights, losses.unbind(1), strict=True))
            pieces = torch.autograd.grad(whole, list(views.values()))
            found.append((losses.detach().mean(1), torch.cat([piece.flatten(1) for piece in pieces], 1)))
        return found[0] if len(found) == 1 else tuple(map(torch.cat, zip(*found, strict=True)))

    def _rows(self, start: int, end: int) -> dict[str, Tensor]:
        """The parameters of some models, in place."""
        return {name: view[start:end].detach().requires_grad_() for name, view in self.views.items()}

    def step(self, batch: Batch, watch: bool = False) -> Tensor:
        """One optimizer step of every model on batch [M, drawn, ...]; returns the losses [M] before it.

        watch: keep how far the step went in ``update_rms``.
        """
        return self.advance(batch, torch.arange(len(self), device=self.device), 1, watch)

    def advance(self, samples: Batch, reads: Tensor, count: int, watch: bool = False) -> Tensor:
        """``count`` steps on consecutive batches of samples [streams, count * drawn, ...], model i on stream ``reads[i]``.

        Returns the largest loss [M] of each model, or NaN where one was. watch: keep how far the last step went in
        ``update_rms``.
        """
        self.since += count
        if self.compiled:
            clip_norm = [math.inf] * len(self) if self.clip_norm is None else self.clip_norm.flatten().tolist()
            warmup = self.warmup_steps.flatten().tolist()
            worst, clipped, moved = self.compiled.advance(self.optimizer, samples, reads.tolist(), self.weights, count,
                                                          self.taken.item(), warmup, clip_norm)
            self.taken += count
            self.clipped += clipped
            self.update_rms = moved if watch else self.update_rms
            return worst
        worst = self.flat.new_zeros(len(self))
        for i in range(count):
            piece = slice(i * self.drawn, (i + 1) * self.drawn)
            batch = Batch(samples.inputs[reads, piece], samples.targets[reads, piece])
            if watch and i == count - 1:
                before = self.flat.clone()
                losses = self._step(batch)
                self.update_rms = (self.flat - before).square().mean(1).sqrt()
            else:
                losses = self._fast_step(batch)
            worst = torch.maximum(worst, losses)
        self._wait_for_last_call()
        return worst

    def steps_at_once(self) -> int:
        """How many steps one call of ``advance`` should make: from their size, never from a timing; no more than is drawn."""
        at_once = ALL_THREADS if self.device.type == "cpu" else 1
        work = self._work(-(-len(self) // at_once))
        most = min(MOST_STEPS.get(self.device.type, 1), DRAW_AT_ONCE // self.drawn)
        return max(1, min(int(WORK.get(self.device.type, 0) / work), most))

    def _work(self, models: int) -> int:
        """Floating-point operations of a step of so many models."""
        return 6 * self.flat.shape[1] * self.drawn * self.network.length * models

    def _step(self, batch: Batch) -> Tensor:
        """One step in place on tensors that stay where they are; nothing of it waits for a number."""
        losses, gradients = self.gradients(batch, self.weights)
        self.taken += 1
        with torch.no_grad():
            # Linear warm-up: the first step of n already moves by lr / n.
            factor = (self.taken / self.warmup_steps.clamp(min=1)).clamp(max=1)
            self.optimizer.step(self.flat, self._clip(gradients), factor)
        return losses

    def _fast_step(self, batch: Batch) -> Tensor:
        """One step, by the CUDA graph of it where there is to be one."""
        if self.may_capture:
            self.may_capture = False
            self.captured = self._capture(batch)
        return self.captured(batch) if self.captured else self._step(batch)

    def _capture(self, batch: Batch) -> Captured | None:
        """A step as a CUDA graph, where launching its operations takes longer than their work and its memory is there."""
        if self._work(len(self)) > LAUNCH_BOUND:
            return None
        self._plan_passes(batch)
        if self.graph_bytes() > GRAPH_SHARE * free_bytes(self.device):
            return None
        at_once = dict(self.at_once)
        state = [self.flat, *self.optimizer.state.values(), self.optimizer.steps, self.taken, self.clipped]
        found = capture(self._step, state, batch)
        if found is None:
            self.at_once = at_once  # what lacked for a recording is there for a plain step
        return found

    def forget_capture(self) -> None:
        """What a graph reads and writes has moved: the next step may be captured anew."""
        self.captured: Captured | None = None
        self.may_capture = self.device.type == "cuda"

    def graph_bytes(self) -> int:
        """Memory that a CUDA graph of a step holds for itself."""
        return GRAPH_COPIES * self.flat.nbytes + self.peak_bytes()

    def _wait_for_last_call(self) -> None:
        """Let a GPU be one call behind at most, so that progress is true, a cancel is quick, and other GPUs get their turn."""
        if self.device.type != "cuda":
            return
        if self.called is not None:
            self.called.synchronize()
        self.called = torch.cuda.Event(blocking=True)  # other processes need the core as well
        self.called.record(torch.cuda.current_stream(self.device))

    def _clip(self, gradients: Tensor) -> Tensor:
        """The gradients scaled down to clip_norm, each model by its own norm, as torch.nn.utils.clip_grad_norm_ does."""
        if self.clip_norm is None:
            return gradients
        factor = self.clip_norm / (gradients.norm(dim=1, keepdim=True) + 1e-6)
        self.clipped += factor.flatten() < 1
        return gradients * factor.clamp(max=1)

    def share_clipped(self) -> Tensor | None:
        """Share of clipped steps of each model [M] since the last call; None where nothing clips or no step was made."""
        if self.clip_norm is None or not self.since:
            return None
        share = self.clipped / self.since
        self.since = 0
        self.clipped.zero_()
        return share

    def _choose_threads(self, batch_size: int) -> None:
        if self.device.type == "cpu":
            size = len(self) * batch_size * self.network.length * self.network.width
            torch.set_num_threads(ALL_THREADS if size >= WORTH_THREADS else 1)

    @torch.no_grad()
    def measure(self, data: Data) -> dict[str, Tensor]:
        """Every metric of the task for every model, on the CPU: name -> [M]."""
        found = {}
        for prefix, split in (("val", data.validation), ("train", data.train_sample)):
            evaluate = self.compiled.evaluate if self.compiled else self._evaluate
            found[f"{prefix}_loss"], found[f"{prefix}_accuracy"] = evaluate(split)
        return {name: found[name].cpu() for name in self.task.metrics}

    def _evaluate(self, split: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss and share of right predictions of every model on the same samples [n, ...], each [M]."""
        if self.device.type == "cpu":
            torch.set_num_threads(ALL_THREADS)
        loss, right = 0.0, 0
        at_once = max(1, MEASURE_AT_ONCE // (len(self) * self.network.length * self.network.width))
        for start in range(0, len(split.targets), at_once):
            piece = slice(start, start + at_once)
            inputs, targets = (x[piece].expand(len(self), *x[piece].shape) for x in (split.inputs, split.targets))
            logits = self.network(self.views, inputs)
            each = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
            loss = loss + each.view(len(self), -1).sum(1, dtype=torch.float64)
            right = right + (logits.argmax(-1) == targets).view(len(self), -1).sum(1)
        return loss / split.targets.numel(), right / split.targets.numel()

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all models but ``rows``, for example the ones that have not diverged."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self.device)
        self.configs = tuple(self.configs[row] for row in rows)
        self._adopt(self.flat[chosen].clone())
        self.warmup_steps = self.warmup_steps[chosen]
        self.clip_norm = None if self.clip_norm is None else self.clip_norm[chosen]
        self.clipped = self.clipped[chosen]
        self.update_rms = None if self.update_rms is None else self.update_rms[chosen]
        self.optimizer.keep(chosen)
