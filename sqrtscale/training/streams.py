"""Streams: the endless order of training samples that one seed sees; what several of them read is drawn once, and ahead."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..tasks import Batch, Data

DRAW_AT_ONCE = 2048  # samples of each stream that wait on the device
KEPT_BYTES = 2**27  # of samples that are drawn and wait for a stream, on each device
BLOCK = 1024  # samples drawn at once: fixed, so that a stream is the same however it is cut into batches


class Stream:
    """The endless order of training samples that one seed sees, cut into pieces of any size.

    The same (seed, name) gives the same samples to every arm, whatever its batch size; another name
    ("warm start", "branch") gives an independent order.
    """

    def __init__(self, data: Data, seed: int, name: str):
        self.data = data
        self.generator = torch.Generator().manual_seed(int.from_bytes(name.encode()[:4], "little") * 100_003 + seed)
        self.rest: Batch | None = None  # drawn, not yet taken
        self.before = self.generator.get_state()  # the generator, when the last block was drawn

    def take(self, count: int) -> Batch:
        """The next ``count`` samples."""
        pieces = [] if self.rest is None else [self.rest]
        while sum(piece.count() for piece in pieces) < count:
            self.before = self.generator.get_state()
            pieces.append(self.data.draw(BLOCK, self.generator))
        drawn = Batch.joined(pieces, torch.cat)
        self.rest = drawn.cut(slice(count, None))
        return drawn.cut(slice(count))

    def ahead(self, count: int) -> Batch:
        """The next ``count`` samples, which are still to be taken."""
        twin = copy.copy(self)
        twin.generator = self.generator.clone_state()
        return twin.take(count)

    def position(self) -> dict[str, Any]:
        """Where it stands: the generator before the last block, and how many samples of that block are taken."""
        return {"generator": self.before, "taken": 0 if self.rest is None else BLOCK - self.rest.count()}

    def move_to(self, position: dict[str, Any]) -> None:
        """Go on from where a stream of the same samples stood."""
        self.generator.set_state(position["generator"])
        self.before, self.rest = position["generator"], None
        if position["taken"]:
            self.take(position["taken"])


class _Draw(NamedTuple):
    """Samples, the generator after they were drawn, and whether a stream has read them."""

    samples: Batch
    after: Tensor
    is_read: bool


class DrawnOnce(Data):
    """A task's data that draws once what several streams read: whoever asks with a generator that stands where another stood.

    What no longer fits into KEPT_BYTES is not kept: whoever reads later begins with the oldest. It is then drawn again, the same
    samples, so that nothing depends on what is kept.
    """

    def __init__(self, source: Data):
        self.source = source
        self.device, self.train_sample, self.validation = source.device, source.train_sample, source.validation
        self.kept: dict[tuple[int, bytes], _Draw] = {}
        self.nbytes = 0
        self.lock = Lock()

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        place = count, generator.get_state().numpy().tobytes()
        with self.lock:
            known = self._taken_out(place)
        if known is None:
            samples = self.source.draw(count, generator)
        else:
            samples = known.samples.map(self._on_device)
            generator.set_state(known.after)
        self._keep(place, _Draw(samples, generator.get_state(), True))
        return samples

    def let_go(self) -> None:
        """Of what has been read: every stream of it stands behind it."""
        with self.lock:
            for place in [place for place, draw in self.kept.items() if draw.is_read]:
                self._taken_out(place)

    @contextmanager
    def drawing_ahead(self, seeds: Sequence[int], name: str, count: int) -> Iterator[None]:
        """Inside, a thread draws the first ``count`` samples of these seeds' streams, as many as may be kept, if data allow it.

        On the CPU, because nobody else may ask a GPU for memory while a graph is captured. What fails in it is tried again, and
        told, when the samples are asked for.
        """
        if not self.source.draws_alone:
            yield
            return
        host, ended = copy.copy(self.source), Event()
        host.device = torch.device("cpu")
        generators = [Stream(host, seed, name).generator for seed in seeds]

        def work() -> None:
            nbytes = 0  # of a block
            for _ in range(0, count, BLOCK):
                for generator in generators:
                    if ended.is_set() or self.nbytes + nbytes > KEPT_BYTES:
                        return
                    place = BLOCK, generator.get_state().numpy().tobytes()
                    samples = host.draw(BLOCK, generator)
                    nbytes = _nbytes(samples)
                    self._keep(place, _Draw(samples, generator.get_state(), False))

        with ThreadPoolExecutor(1, "draws ahead", torch.set_flush_denormal, (True,)) as pool:
            pool.submit(work)
            try:
                yield
            finally:
                ended.set()

    def _keep(self, place: tuple[int, bytes], draw: _Draw) -> None:
        with self.lock:
            self._taken_out(place)
            nbytes = _nbytes(draw.samples)
            if self.nbytes + nbytes <= KEPT_BYTES:
                self.kept[place] = draw
                self.nbytes += nbytes

    def _taken_out(self, place: tuple[int, bytes]) -> _Draw | None:
        draw = self.kept.pop(place, None)
        self.nbytes -= _nbytes(draw.samples) if draw else 0
        return draw

    def _on_device(self, drawn: Tensor) -> Tensor:
        return drawn if drawn.device.type == self.device.type else self.source.placed(drawn)


def _nbytes(samples: Batch) -> int:
    return sum(tensor.nbytes for tensor in samples.tensors())
