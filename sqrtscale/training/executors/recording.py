"""Steps recorded as one CUDA graph and replayed: hundreds of small operations cost one launch [PyTorch manual, CUDA Graphs]."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ...tasks import Batch

WARM_STEPS = 3  # before capturing: libraries make their plans and workspaces in a first call
# Of norms, between a captured and an ordinary step. The order of sums may differ, and Adam's first step is the gradient's sign.
NEAR = 1e-2

STREAMS = 32  # that torch has for a device, and gives out in turn

Step = Callable[[Batch], Tensor]
Recorder = Callable[[Callable[[], Tensor]], tuple[Tensor, Callable[[], None]]]  # work -> its result, and what does it again

_failures: list[str] = []  # of captures
_streams: WeakSet[torch.cuda.Stream] = WeakSet()  # on which living graphs were captured; each graph keeps its own


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts those inside, without views: the nodes of the graph that they are captured as, where each is one kernel."""

    supports_higher_order_operators = True  # a network may have them, and may be compiled: as it trains is how it is counted
    count = 0

    @classmethod
    def is_infra_mode(cls) -> bool:
        return True  # else torch.compile refuses to compile inside

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not getattr(operation, "is_view", False)
        return operation(*args, **(kwargs or {}))


class Recording:
    """A recorded step: called with a batch, it changes the same tensors as the step did and returns the losses [M].

    The losses lie in one tensor that the next call overwrites. operations: how many the ordinary step takes.
    """

    operations = 0

    def __init__(self, step: Step, batch: Batch, record: Recorder):
        # Recorded on another batch than the first that it is called with: the trial tells whether it reads what it is given.
        self.batch = batch.map(torch.zeros_like)
        self.losses, self.replay = record(lambda: step(self.batch))

    def __call__(self, batch: Batch) -> Tensor:
        for own, given in zip(self.batch.tensors(), batch.tensors(), strict=True):
            own.copy_(given)
        self.replay()
        return self.losses


def why_not() -> str:
    """Why the first capture of this process that failed did so; empty where none has."""
    return _failures[0] if _failures else ""


def cuda_graph(work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """What ``work`` returns and what does it again, into the same tensor; runs it a few times on the way.

    Raises RuntimeError where it cannot be captured; then no other work of this process is, because the allocator may go on as
    if a capture were underway [pytorch/pytorch pull request 190308].
    """
    if _failures:
        raise RuntimeError(f"an earlier capture failed: {_failures[0]}")
    before = torch.cuda.current_stream()
    graph = torch.cuda.CUDAGraph()
    side = _free_stream()
    graph.stream = side  # type: ignore[attr-defined]  # torch's own stream for this would lie on the first device that captured
    side.wait_stream(before)
    try:
        with torch.cuda.stream(side):
            for _ in range(WARM_STEPS):
                work()
    finally:
        before.wait_stream(side)  # also where memory ran out on the way: what follows restores what the steps have changed
    try:
        with torch.cuda.graph(graph, stream=side):
            result = work()
    except RuntimeError as error:
        _failures.append(str(error))
        raise
    finally:
        torch.cuda.set_stream(before)  # a capture that fails leaves its own
    _streams.add(side)
    return result, graph.replay


def _free_stream() -> torch.cuda.Stream:
    """A stream of this device that no living graph was captured on.

    A graph that goes takes the cuBLAS workspace of its stream along, also from another graph of that stream
    [pytorch/pytorch issue 193402].
    """
    for _ in range(STREAMS):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        if stream not in _streams:
            return stream
    raise RuntimeError(f"{len(_streams)} graphs are alive, and torch has no stream for another one")


def capture(step: Step, state: Sequence[Tensor], batch: Batch, record: Recorder = cuda_graph,
            recorded: Step | None = None) -> Recording | None:
    """The step as a recording, or None where that fails or makes another step than ``step`` itself: what then is left to do.

    state: every tensor that the step changes; they are as before afterwards; recorded: what is recorded in its place, to do the
    same in another way. A recording reads and writes addresses, so one that went wrong would train on without an error: it has to
    make the same step once before it is trusted.
    """
    log = logging.getLogger(__name__)
    try:
        with torch.cuda.device_of(state[0]):  # type: ignore[no-untyped-call]
            before = [value.clone() for value in state]
            try:
                with Operations() as counted:  # type: ignore[no-untyped-call]  # nothing may disturb what is captured, below
                    losses = step(batch)
                losses, after = losses.clone(), [value.clone() for value in state]
                _restore(state, before)
                recording = Recording(recorded or step, batch, record)
                recording.operations = counted.count
                _restore(state, before)
                same = _near(recording(batch), losses) and all(
                    _near(value - old, new - old) if value.is_floating_point() else torch.equal(value, new)
                    for value, old, new in zip(state, before, after, strict=True))
            finally:
                _restore(state, before)
    except RuntimeError as error:  # also what CUDA says, and a lack of memory
        log.warning("the step could not be captured as a CUDA graph and runs operation by operation: %s", error)
        return None
    if not same:
        log.warning("the captured step differs from the ordinary one, which is taken instead")
    return recording if same else None


def _restore(state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for value, old in zip(state, before, strict=True):
            value.copy_(old)


def _near(replayed: Tensor, ordinary: Tensor) -> bool:
    if not torch.equal(replayed.isnan(), ordinary.isnan()):  # a model that has diverged does so in both
        return False
    replayed, ordinary = replayed.double().nan_to_num(), ordinary.double().nan_to_num()
    return bool((replayed - ordinary).norm() <= NEAR * ordinary.norm())
