"""WikiText with a GPT on bytes: ``sqrtscale tasks get wikitext``, or ``add wikitext:FOLDER``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from ...rules import FieldError
from ...rules.errors import choice
from .adapter import Adapter, Options, described, whole_option
from .cifar10 import FOR
from .files import SPLITS, files_below
from .text import CONTEXT, FEWEST, LARGEST, Text, task_text

NAMES = {"train": ("wiki.train", "train"), "validation": ("wiki.valid", "validation")}  # beginnings of the files' names
SUFFIXES = (".raw", ".tokens", ".parquet")
SHAPES = {"tiny": (CONTEXT, "width=64, layers=2, heads=2"), "gpu": (256, "width=384, layers=6, heads=6")}


class WikiText(Text):
    """The bytes of wiki.train.raw and wiki.valid.raw in a folder, or of the column ``text`` of parquet files."""

    @cached_property
    def files(self) -> list[Path]:
        return [file for files in self._of_splits.values() for file in files]

    @cached_property
    def _of_splits(self) -> dict[str, list[Path]]:
        files = {split: [file for file in files_below(self.place, SUFFIXES) if file.name.startswith(names)]
                 for split, names in NAMES.items()}
        for split in files:
            if not files[split]:
                raise FieldError("data", str(self.place), f"has no {NAMES[split][0]}.raw and no {NAMES[split][1]}*.parquet: give "
                                                          "the folder of WikiText")
        if (size := sum(file.stat().st_size for files_of in files.values() for file in files_of)) > LARGEST:
            raise FieldError("data", str(self.place), f"has {size / 1e9:.1f} GB: give WikiText alone")
        return files

    @cached_property
    def splits(self) -> dict[str, bytes]:
        texts = {split: b"".join(map(_text, self._of_splits[split])) for split in SPLITS}
        for split, text in texts.items():
            if len(text) < FEWEST * (self.context + 1):
                raise FieldError("data", str(self.place), f"has only {len(text)} bytes of {split} text: give all of it")
        return texts


def _text(file: Path) -> bytes:
    if file.suffix != ".parquet":
        return file.read_bytes()
    from .table import read

    frame = read(file)
    if "text" not in frame.columns:
        raise FieldError("data", str(file), f"has the columns {', '.join(map(str, frame.columns))}: give one named text")
    if not all(isinstance(text, str) for text in frame["text"]):
        raise FieldError("data", str(file), "has rows of the column text that hold none: leave them out")
    return "".join(frame["text"]).encode()


def write(place: str, options: Options) -> str:
    """The text of a task of that folder."""
    size = choice("size", options.get("size", "tiny"), tuple(SHAPES))
    context, shape = SHAPES[size]
    text = WikiText(place, whole_option(options, "context", 8, context, 1024))
    sizes = {split: len(text.splits[split]) for split in SPLITS}
    heading = described(
        "WikiText, GPT on bytes",
        f"The text of the paper's language experiments, byte by byte, {FOR[size]}: {sizes['train']:,} training and "
        f"{sizes['validation']:,} validation bytes, each predicted from up to {text.context} bytes before it.")
    return heading + task_text(text, shape, "wikitext")


ADAPTER = Adapter("wikitext", "FOLDER", "WikiText as raw text or parquet", write, {
    "size": f"{' or '.join(SHAPES)} (default: tiny)",
    "context": "bytes from which the next one is predicted (default: 64, of gpu 256)"})
