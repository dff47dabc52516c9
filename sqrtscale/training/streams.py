"""Streams: the endless order of training samples that one seed sees."""

from __future__ import annotations

import torch

from ..tasks import Batch, Data

DRAW_AT_ONCE = 2048  # samples of each stream that wait on the device
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

    def take(self, count: int) -> Batch:
        """The next ``count`` samples."""
        pieces = [] if self.rest is None else [self.rest]
        while sum(piece.count() for piece in pieces) < count:
            pieces.append(self.data.draw(BLOCK, self.generator))
        drawn = Batch.joined(pieces, torch.cat)
        self.rest = drawn.cut(slice(count, None))
        return drawn.cut(slice(count))
