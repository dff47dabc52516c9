"""Samples of a data folder by a tokenizer: windows for a language model, texts with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....rules import FieldError
from ..files import SHARE, SPLITS, name_hash, validating
from ..saved_rows import Columns, read_folder
from ..windows import Frame, cut_windows

if TYPE_CHECKING:
    from torch import Tensor

TEXTS = ("text", "sentence", "content", "document", "review")  # names of columns that hold texts
LABELS = ("label", "labels")


def windows_of(folder: str, column: str | None, tokenizer: Any, length: int, frame: Frame) -> dict[str, Tensor]:
    """Split -> windows of its texts; without validation data the last tenth of the training windows."""
    rows = read_folder(Path(folder), lambda names: [_column("text", column, TEXTS, names)])

    def tokenize(texts: list[str]) -> Sequence[Sequence[int]]:
        ids: Sequence[Sequence[int]] = tokenizer(texts, add_special_tokens=False, return_attention_mask=False,
                                                 verbose=False)["input_ids"]
        return ids

    cut = {}
    for split, columns in rows.items():
        (texts,) = columns.values()
        _check_texts(texts, split)
        cut[split] = cut_windows(texts, tokenize, length, frame)
    if "validation" not in cut:
        held = max(1, len(cut["train"]) // SHARE)
        cut = {"train": cut["train"][:-held], "validation": cut["train"][-held:]}
    for split, windows in cut.items():
        if not len(windows):
            raise FieldError("data", folder, f"has too little text for {split}: give more of it, or windows shorter than "
                                             f"--length {length}")
    return cut


class LabelledTexts:
    """The texts of a data folder with their classes, which are those of the training data."""

    def __init__(self, folder: str, text: str | None, label: str | None):
        self.rows = read_folder(Path(folder), lambda names: [_column("text", text, TEXTS, names),
                                                             _column("label", label, LABELS, names)])
        self.classes = _classes(next(reversed(self.rows["train"].values())))
        for split, (texts, labels) in ((split, columns.values()) for split, columns in self.rows.items()):
            _check_texts(texts, split)
            for value in dict.fromkeys(labels):
                if value not in self.classes:
                    raise FieldError("label", value, f"of the {split} data is no class of the training data: remove such rows")
        if "validation" not in self.rows:
            self.rows = _divided(self.rows["train"])

    def samples(self, tokenizer: Any, length: int) -> dict[str, list[dict[str, Any]]]:
        """Split -> what the tokenizer makes of each text, with its ``labels``: the number of its class."""
        numbers = {label: number for number, label in enumerate(self.classes)}
        samples = {}
        for split, (texts, labels) in ((split, columns.values()) for split, columns in self.rows.items()):
            tokens = tokenizer(texts, truncation=True, max_length=length)
            samples[split] = [{name: values[i] for name, values in tokens.items()} | {"labels": numbers[label]}
                              for i, label in enumerate(labels)]
        return samples


def _classes(labels: Sequence[Any]) -> list[Any]:
    """The distinct labels in order. Raises FieldError for what are no classes."""
    types = {type(label) for label in labels}
    if types not in ({int}, {bool}, {str}):
        named = ", ".join(sorted("missing" if kind is type(None) else kind.__name__ for kind in types))
        raise FieldError("label", named, "is no type of a class: give whole numbers or names, one in every row")
    classes = sorted(set(labels))
    if len(classes) < 2 or classes[0] == -1:
        raise FieldError("label", ", ".join(map(str, classes[:3])), "is no set of classes: give rows of two classes or more, "
                                                                    "each with its label")
    return classes


def _divided(columns: Columns) -> dict[str, Columns]:
    """A tenth of the rows validates, by the hashes of their texts."""
    validates = validating([name_hash(text) for text in next(iter(columns.values()))])
    return {split: {name: [value for value, held in zip(values, validates, strict=True) if held == (split == "validation")]
                    for name, values in columns.items()} for split in SPLITS}


def _column(what: str, given: str | None, usual: Sequence[str], names: Sequence[str]) -> str:
    """The name of a column, as given or one of the usual ones."""
    columns = ", ".join(names)
    if given is not None:
        if given not in names:
            raise FieldError(what, given, f"is no column of the data: give one of {columns}")
        return given
    name = next((name for name in usual if name in names), None)
    if name is None:
        raise FieldError(what, None, f"names no column, and none is called {' or '.join(usual)}: give one of {columns} with "
                                     f"--{what}-column")
    return name


def _check_texts(texts: Sequence[Any], split: str) -> None:
    wrong = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise FieldError("text", type(texts[wrong]).__name__, f"stands in row {wrong + 1} of the {split} data: give texts alone")
