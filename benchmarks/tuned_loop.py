"""The hand-tuned loop of ``benchmarks/trainers.py``: what somebody writes who knows how to make a small model's step fast."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from contestants import Plain, Run
from plain_model import Drawn, Net
from torch import Tensor

BLOCK = 2048  # samples drawn at once
TRIAL_STEPS, TRIALS = 20, 5  # of the choice of threads; the fastest trial counts
ALL_THREADS = torch.get_num_threads()


class Tuned(Plain):
    """Data drawn by the block on the device; gradient and update compiled into one graph; a CUDA graph of it where there is CUDA.

    Parameters and moments lie in flat tensors that every run reuses, and hyperparameters are tensors, so that the step is
    compiled once for each batch size. The number of threads is the faster of 1 and all, measured for each batch size.
    """

    title = "hand-tuned loop"

    def __init__(self, plan, device, ledger, compiled: bool = True):
        super().__init__(plan, device, ledger)
        torch.set_flush_denormal(True)
        self.net, self.drawn = Net(self.task).to(device), Drawn(self.task, self.data, device)
        self.shapes = {name: p.shape for name, p in self.net.named_parameters()}
        flat = torch.cat([p.detach().flatten() for p in self.net.parameters()])
        self.state = {"flat": flat, "first": torch.zeros_like(flat), "second": torch.zeros_like(flat),
                      "taken": torch.zeros((), device=device)}
        self.hyper = {name: torch.zeros((), device=device) for name in plan.base.hyperparameters}
        for p, piece in zip(self.net.parameters(), self._pieces(flat).values(), strict=True):
            p.data = piece
        self.update = torch.compile(self._update, dynamic=False) if compiled else self._update
        self.threads, self.steps = {}, {}

    def _pieces(self, flat: Tensor) -> dict[str, Tensor]:
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        return {name: piece.view(self.shapes[name]) for name, piece in zip(self.shapes, flat.split(sizes), strict=True)}

    @torch.no_grad()
    def _update(self, state: dict[str, Tensor], h: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """One step in place, as torch.optim makes it; returns the loss before it."""
        def loss(parameters):
            return F.cross_entropy(torch.func.functional_call(self.net, parameters, (x,)).flatten(0, -2), y.flatten())

        gradients, value = torch.func.grad_and_value(loss)(self._pieces(state["flat"]))
        g = torch.cat([piece.flatten() for piece in gradients.values()])
        flat, m, v, k = state["flat"], state["first"], state["second"], state["taken"]
        k.add_(1)
        if self.plan.base.optimizer == "adamw":
            flat.mul_(1 - h["lr"] * h["weight_decay"])
        else:
            g = g + h["weight_decay"] * flat
        if self.plan.base.optimizer == "rmsprop":
            v.mul_(h["alpha"]).add_(g * g * (1 - h["alpha"]))
            m.mul_(h["momentum"]).add_(g / (v.sqrt() + h["eps"]))
            flat.sub_(h["lr"] * m)
        else:
            m.lerp_(g, 1 - h["beta1"])
            v.mul_(h["beta2"]).add_(g * g * (1 - h["beta2"]))
            root = (1 - h["beta2"] ** k).sqrt()
            flat.sub_(h["lr"] / (1 - h["beta1"] ** k) * m / (v.sqrt() / root + h["eps"]))
        return value

    def begin(self, run: Run, parent) -> None:
        """Put a run's start into the state that all runs share."""
        for name, value in run.config.hyperparameters.items():
            self.hyper[name].fill_(value)
        if parent is None:
            for value in self.state.values():
                value.zero_()
            self.net.adopt(self.weights[run.seed])
            return
        for name, value in parent.items():
            self.state[name].copy_(value)
        self.state["second"] /= run.kappa
        old, new = self.plan.base.hyperparameters, run.config.hyperparameters
        if "beta2" in new:
            self.state["taken"] *= math.log(old["beta2"]) / math.log(new["beta2"])
        else:
            self.state["first"] *= math.sqrt(run.kappa) * (1 - old["momentum"]) / (1 - new["momentum"])

    def run(self, run, parent):
        size = run.config.batch_size
        if size not in self.steps:
            with self.ledger.spending("tuning"):
                self.begin(run, parent)
                self._tune(size)
        self.begin(run, parent)
        loss, step = self.measure(self.net), self.steps[size]
        generator = torch.Generator(self.device).manual_seed(run.order)
        with self.ledger.spending(run.phase):
            for start, end in pairwise(run.points):
                torch.set_num_threads(self.threads[size])
                for first in range(start, end, BLOCK // size * size):
                    count = min(BLOCK // size * size, end - first)
                    inputs, targets = self.drawn.block(count, generator)
                    for at in range(0, count, size):
                        step(inputs[at : at + size], targets[at : at + size])
                torch.set_num_threads(max(self.candidates))
                loss = self.measure(self.net)
        return loss, {name: value.clone() for name, value in self.state.items()}

    def trajectory(self, run, parent, batches):
        self.begin(run, parent)
        losses = [self.update(self.state, self.hyper, x, y).item() for x, y in batches]
        return losses, {name: value.clone() for name, value in self.state.items()}

    @property
    def candidates(self) -> tuple[int, ...]:
        """Numbers of threads to choose from."""
        return tuple(sorted({1, ALL_THREADS})) if self.device.type == "cpu" else (ALL_THREADS,)

    def _tune(self, size: int) -> None:
        """Compile the step for a batch size with each number of threads, and keep the fastest."""
        compiling, speeds = {}, {}
        x, y = self.drawn.block(size, torch.Generator(self.device))
        for threads in self.candidates:
            torch.set_num_threads(threads)  # compiled code is made for one number of threads
            self.ledger.charge()
            began = time.perf_counter()
            plain = partial(self.update, self.state, self.hyper)
            self.steps[size] = self._captured(x, y) if self.device.type == "cuda" else plain
            self.steps[size](x, y)
            self.ledger.charge()
            compiling[threads] = time.perf_counter() - began
            speeds[threads] = min(self._trial(self.steps[size], x, y) for _ in range(TRIALS))
        best = self.threads[size] = min(speeds, key=speeds.get)
        self.ledger.seconds["compile"] += compiling[best]  # what finding it out took is nobody's second time
        self.ledger.seconds["tuning"] -= compiling[best]
        self.note += f"batch {size}: " + ", ".join(f"{n} threads {1000 * s:.2f} ms a step" for n, s in speeds.items()) + "; "
        torch.set_num_threads(max(self.candidates))

    def _trial(self, step: Callable, x: Tensor, y: Tensor) -> float:
        """Seconds of a step."""
        self.ledger.charge()
        began = time.perf_counter()
        for _ in range(TRIAL_STEPS):
            step(x, y)
        self.ledger.charge()
        return (time.perf_counter() - began) / TRIAL_STEPS

    def _captured(self, x: Tensor, y: Tensor) -> Callable[[Tensor, Tensor], None]:
        """The step as one CUDA graph [PyTorch manual, CUDA semantics, CUDA Graphs]."""
        x, y = x.clone(), y.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.update(self.state, self.hyper, x, y)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.update(self.state, self.hyper, x, y)

        def step(inputs: Tensor, targets: Tensor) -> None:
            x.copy_(inputs)
            y.copy_(targets)
            graph.replay()

        return step
