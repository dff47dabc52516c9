"""A population's step on a GPU as one CUDA graph: hundreds of small operations cost one launch [PyTorch manual, CUDA Graphs]."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..tasks import Batch

WARM_STEPS = 3  # before capturing: libraries make their plans and workspaces in a first call
# Of norms, between a captured and an ordinary step. The order of sums may differ, and Adam's first step is the gradient's sign.
NEAR = 1e-2

Step = Callable[[Batch], Tensor]


class Captured:
    """A recorded step: called with a batch, it changes the same tensors as the step did and returns the losses [M].

    The losses lie in one tensor that the next call overwrites.
    """

    def __init__(self, step: Step, batch: Batch, record: Callable[[Callable[[], Tensor]], tuple[Tensor, Callable[[], None]]]):
        # Recorded on another batch than the first that it is called with: the trial tells whether it reads what it is given.
        self.batch = Batch(torch.zeros_like(batch.inputs), torch.zeros_like(batch.targets))
        self.losses, self.replay = record(lambda: step(self.batch))

    def __call__(self, batch: Batch) -> Tensor:
        self.batch.inputs.copy_(batch.inputs)
        self.batch.targets.copy_(batch.targets)
        self.replay()
        return self.losses


def cuda_graph(work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """What ``work`` returns and what does it again, into the same tensor; runs it a few times on the way."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_STEPS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):  # torch's own stream for this would lie on the first device that captured
        result = work()
    return result, graph.replay


def capture(step: Step, state: Sequence[Tensor], batch: Batch, record=cuda_graph) -> Captured | None:
    """The step as a recording, or None where that fails or makes another step than ``step`` itself: what then is left to do.

    state: every tensor that the step changes, parameters [M, P] first; they are as before afterwards. A recording reads and
    writes addresses, so one that went wrong would train on without an error: it has to make the same step once before it is
    trusted.
    """
    log = logging.getLogger(__name__)
    try:
        with torch.cuda.device_of(state[0]):
            before = [value.clone() for value in state]
            try:
                losses, after = step(batch).clone(), state[0].clone()
                _restore(state, before)
                found = Captured(step, batch, record)
                _restore(state, before)
                same = _near(found(batch), losses) and _near(state[0] - before[0], after - before[0])
            finally:
                _restore(state, before)
    except RuntimeError as error:  # also what CUDA says, and a lack of memory
        log.warning("the step could not be captured as a CUDA graph and runs operation by operation: %s", error)
        return None
    if not same:
        log.warning("the captured step differs from the ordinary one, which is taken instead")
    return found if same else None


def _restore(state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for value, old in zip(state, before, strict=True):
            value.copy_(old)


def _near(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).norm() <= NEAR * other.norm())
