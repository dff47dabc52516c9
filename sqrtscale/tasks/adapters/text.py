"""Text as bytes: ``text:FILE_OR_FOLDER``, cut into windows, each byte predicted from those before it."""

from __future__ import annotations

import itertools
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...rules import FieldError
from .adapter import Adapter, Options, described, existing, whole_option
from .files import SHARE, SPLITS, check_split, check_unchanged, files_below, fingerprint, name_hash, validating

if TYPE_CHECKING:
    from torch import Tensor

CONTEXT = 64  # bytes
LARGEST = 2**32  # bytes of text
FEWEST = 10  # windows in each split
OF_FILES = 20  # files from which on whole files validate; of fewer, pieces
PIECE = 64  # windows in one, about
SHAPE = "width=64, layers=2, heads=2"


class Text:
    """The bytes of a file, or of all files of a folder that hold text.

    A tenth validates: whole files where there are many, else pieces of PIECE windows. contents: the fingerprint of the files as
    the task was made of them; another one is refused.
    """

    def __init__(self, place: str | Path, context: int = CONTEXT, contents: str | None = None):
        self.place, self.context, self.contents = existing(str(place)), context, contents

    @cached_property
    def files(self) -> list[Path]:
        """Those that are read, by name. Raises FieldError where there are none, or more than fits into memory."""
        files = files_below(self.place) if self.place.is_dir() else [self.place]
        size = sum(file.stat().st_size for file in files)
        if size > LARGEST:
            raise FieldError("data", str(self.place), f"has {size / 1e9:.1f} GB: give a part of it, of {LARGEST / 1e9:.1f} GB or "
                                                      "less")
        return files

    @cached_property
    def fingerprint(self) -> str:
        """Of the files: contents of a single one, names and sizes of several."""
        return fingerprint(self.place, self.files)

    @cached_property
    def splits(self) -> dict[str, bytes]:
        """Split -> its text. Raises FieldError where there is not enough."""
        texts = {str(file.relative_to(self.place)): file.read_bytes() for file in self.files}
        texts = {name: text for name, text in texts.items() if b"\0" not in text}
        names, pieces = list(texts), list(texts.values())
        if len(pieces) < OF_FILES:
            size = PIECE * self.context
            cuts = [(f"{name} {first // size}", text[first : first + size]) for name, text in texts.items()
                    for first in range(0, len(text), size)]
            names, pieces = [name for name, _ in cuts], [piece for _, piece in cuts]
        validation = set(itertools.compress(range(len(names)), validating([name_hash(name) for name in names]) if names else ()))
        split = {"train": b"".join(piece for place, piece in enumerate(pieces) if place not in validation),
                 "validation": b"".join(piece for place, piece in enumerate(pieces) if place in validation)}
        fewest = FEWEST * (self.context + 1)
        if any(len(text) < fewest for text in split.values()):
            kind = "" if texts or not self.files else " (files with a byte 0 are no text)"
            raise FieldError("data", str(self.place), f"has too little text{kind}: give at least {2 * SHARE * fewest:,} bytes, "
                                                      "or a smaller --context")
        return split

    def data(self, split: str) -> tuple[Tensor]:
        """Every window of the split, [n, context + 1] bytes, as a view of its text."""
        import torch

        check_split(split)
        check_unchanged(self.place, self.contents, self.fingerprint)
        text = torch.frombuffer(bytearray(self.splits[split]), dtype=torch.uint8)
        return (text.unfold(0, self.context + 1, 1),)


TEXT = '''
from torch.nn import functional as F

from sqrtscale.tasks.adapters.{module} import {kind}
from sqrtscale.tasks.module import as_module
from sqrtscale.tasks.transformer import Transformer

SAMPLE = "window of {context} bytes"
HIGHER_IS_BETTER = ["accuracy"]
TEXT = {kind}({place!r}, context={context}, contents={contents!r})


def stacked():
    return Transformer({shape}, length={context}, tokens=256, classes=256, causal=True)


def model():
    return as_module(stacked())


def data(split):
    return TEXT.data(split)


def pairs(batch):
    windows = batch[0].long()
    return windows[:, :-1], windows[:, 1:]


def loss(model, batch):
    inputs, targets = pairs(batch)
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def metrics(model, batch):
    inputs, targets = pairs(batch)
    return {{"accuracy": (model(inputs).argmax(2) == targets).float().mean()}}
'''


def write(place: str, options: Options) -> str:
    """The text of a task of that file or folder."""
    text = Text(place, whole_option(options, "context", 8, CONTEXT, 1024))
    sizes = {split: len(text.splits[split]) for split in SPLITS}
    heading = described(
        f"Text of {text.place.name}",
        f"{sizes['train']:,} training and {sizes['validation']:,} validation bytes, each predicted from up to {text.context} "
        "bytes before it; a transformer.")
    return heading + task_text(text, SHAPE, "text")


def task_text(text: Text, shape: str, module: str) -> str:
    """What follows the docstring of a task on bytes; module: of this folder, which has the text's class."""
    return TEXT.format(place=str(text.place), context=text.context, contents=text.fingerprint, shape=shape, module=module,
                       kind=type(text).__name__)


ADAPTER = Adapter("text", "FILE_OR_FOLDER", "text, as bytes", write,
                  {"context": f"bytes from which the next one is predicted (default: {CONTEXT})"})
