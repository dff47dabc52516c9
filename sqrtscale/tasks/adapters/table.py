"""Rows of a table: ``table:FILE`` with ``--target-column``, which is predicted from the other columns."""

from __future__ import annotations

import pprint
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...rules import FieldError
from ...rules.errors import choice
from .adapter import Adapter, Options, described, existing
from .files import check_split, check_unchanged, fingerprint, validating

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

LARGEST = 2**31  # bytes of a file
FEWEST_ROWS = 20
MOST_CLASSES = 20  # different whole numbers that are taken for classes
PREDICTIONS = ("class", "number")
OTHER = 0  # the code of a category that is empty, or in no training row


class Rows:
    """The rows of a table: numbers standardised by the training rows, categories as codes, and the target.

    classes: whether the target is a class, or a number that is standardised as well; contents: the fingerprint of the file as the
    task was made of it; another one is refused. A tenth of the rows validates, by hashes of what stands in them.
    """

    def __init__(self, file: str | Path, target: str, numbers: Sequence[str], categories: Sequence[str] = (),
                 classes: bool = False, contents: str | None = None):
        self.file, self.target, self.contents = existing(str(file)), target, contents
        self.numbers, self.categories, self.is_class = list(numbers), list(categories), classes

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The columns that are used. Raises FieldError for what cannot be learned from."""
        check_unchanged(self.file, self.contents, fingerprint(self.file, [self.file]))
        frame = read(self.file)
        for name in (self.target, *self.numbers, *self.categories):
            _check_column(frame, name)
        frame = frame[[self.target, *self.numbers, *self.categories]]
        for name in self.numbers + [self.target] * (not self.is_class):
            _check_numbers(frame, name)
        if empty := int(frame[self.target].isna().sum()):
            raise FieldError("target column", self.target, f"is empty in {empty} of {len(frame)} rows: fill it, or remove "
                                                         "these rows")
        if self.is_class:
            counts = frame[self.target].astype(str).value_counts()
            if len(counts) < 2:
                raise FieldError("target column", self.target, "has one value only: give one that has two classes or more")
            if counts.iloc[-1] < 2:
                once = int((counts < 2).sum())
                raise FieldError("target column", self.target, f"has the class {counts.index[-1]!r} in one row only"
                                 f"{f', and {once - 1} more such classes' if once > 1 else ''}: remove the row, join classes, or "
                                 "predict a number with --predict number")
        return frame

    @cached_property
    def names(self) -> list[str]:
        """Of the target's classes, in the order of their numbers."""
        return sorted(self.frame[self.target].astype(str).unique())

    @property
    def outputs(self) -> int:
        """Of a model: one for each class, or one for a number."""
        return len(self.names) if self.is_class else 1

    @property
    def codes(self) -> list[int]:
        """How many codes each category has."""
        return [len(self._known(name)) + 1 for name in self.categories]

    @property
    def scale(self) -> float:
        """Standard deviation of a target that is a number, in its own unit."""
        return self._scales(self.target)[1]

    def data(self, split: str) -> dict[str, Tensor]:
        """Numbers [n, N], codes [n, C] and target [n]."""
        import numpy as np
        import torch

        check_split(split)
        rows = self.frame[self.validates == (split == "validation")]
        numbers = np.zeros((len(rows), len(self.numbers)), np.float32)
        for column, name in enumerate(self.numbers):
            mean, scale = self._scales(name)
            numbers[:, column] = (rows[name].astype(float) - mean) / scale
        codes = np.zeros((len(rows), len(self.categories)), np.int64)
        for column, name in enumerate(self.categories):
            places = {value: place for place, value in enumerate(self._known(name), 1)}
            codes[:, column] = [places.get(str(value), OTHER) for value in rows[name]]
        if self.is_class:
            classes = {name: place for place, name in enumerate(self.names)}
            target = torch.tensor([classes[str(value)] for value in rows[self.target]])
        else:
            mean, scale = self._scales(self.target)
            target = torch.tensor(((rows[self.target].astype(float) - mean) / scale).to_numpy(), dtype=torch.float32)
        return {"numbers": torch.from_numpy(numbers), "codes": torch.from_numpy(codes), "target": target}

    @cached_property
    def validates(self) -> np.ndarray[Any, Any]:
        """[n] True for the rows that validate."""
        import pandas as pd

        mask = validating(pd.util.hash_pandas_object(self.frame.astype(str), index=False).to_numpy())
        if mask.all():
            raise FieldError("data", str(self.file), "has rows that are all the same: give a table in which they differ")
        return mask

    def _scales(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation over the training rows, 1 of a constant."""
        values = self.frame[name][~self.validates].astype(float)
        return float(values.mean()), float(values.std(ddof=0)) or 1.0

    def _known(self, name: str) -> list[str]:
        return sorted(self.frame[name][~self.validates].dropna().astype(str).unique())


def read(file: Path) -> pd.DataFrame:
    """A table by the ending of its file's name. Raises FieldError for what cannot be read or has too few rows."""
    import pandas as pd

    if not file.is_file():
        raise FieldError("data", str(file), "is no file: give a table, .csv, .tsv or .parquet")
    if (size := file.stat().st_size) > LARGEST:
        raise FieldError("data", str(file), f"has {size / 1e9:.1f} GB: give a part of {LARGEST / 1e9:.1f} GB or less")
    try:
        frame = pd.read_parquet(file) if file.suffix.lower() == ".parquet" else pd.read_csv(file, sep=_separator(file))
    except ImportError as error:
        raise FieldError("data", str(file), "needs pyarrow to be read: pip install pyarrow, or give the table as CSV") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's own errors among them
        raise FieldError("data", str(file), f"cannot be read ({' '.join(str(error).split())[:120]}): give a table with a line of "
                                            "column names, .csv, .tsv or .parquet") from error
    if len(frame) < FEWEST_ROWS:
        raise FieldError("data", str(file), f"has {len(frame)} rows: give {FEWEST_ROWS} or more")
    return frame.rename(columns=str)


def _separator(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as opened:
        first = opened.readline(100_000)
    return max(",;\t", key=first.count)


def _check_column(frame: pd.DataFrame, name: str) -> None:
    if name not in frame.columns:
        raise FieldError("column", name, f"is not in the table: it has {', '.join(map(str, frame.columns[:20]))}")


def _check_numbers(frame: pd.DataFrame, name: str) -> None:
    """Raises FieldError for a column that has anything but finite numbers."""
    import numpy as np
    import pandas as pd

    values = frame[name]
    if not pd.api.types.is_numeric_dtype(values):
        raise FieldError("column", name, f"holds no numbers, but {values.iloc[0]!r}: take another one, or correct the table")
    wrong = int((~np.isfinite(values.astype("Float64").to_numpy(float, na_value=np.nan))).sum())
    if wrong:
        raise FieldError("column", name, f"is empty, NaN or infinite in {wrong} of {len(frame)} rows: fill them, or remove these "
                                         "rows or the column")


def _are_classes(target: pd.Series[Any], wanted: object) -> bool:
    """Whether a target is a class: as wanted, or else by what it holds."""
    import pandas as pd

    if wanted is not None:
        return choice("predict", wanted, PREDICTIONS) == "class"
    whole_numbers = pd.api.types.is_integer_dtype(target) and target.nunique() <= MOST_CLASSES
    return whole_numbers or pd.api.types.is_bool_dtype(target) or not pd.api.types.is_numeric_dtype(target)


def _inputs(frame: pd.DataFrame, target: str) -> tuple[list[str], list[str], list[str]]:
    """Names of columns by what they hold: numbers, categories, and what tells nothing."""
    import pandas as pd

    numbers: list[str] = []
    categories: list[str] = []
    left_out: list[str] = []
    for name in frame.columns.drop(target):
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values):
            (numbers if values.nunique(dropna=False) > 1 else left_out).append(name)
        elif pd.api.types.is_datetime64_any_dtype(values):
            left_out.append(name)
        else:
            (categories if 1 < values.astype(str).nunique() <= len(frame) // 2 else left_out).append(name)
    return numbers, categories, left_out


TEXT = '''
from torch.nn import functional as F

from sqrtscale.tasks.adapters.models import Perceptron
from sqrtscale.tasks.adapters.table import Rows
from sqrtscale.tasks.module import as_module

SAMPLE = "row"
{setting}ROWS = Rows(
    {file!r},
    target={target!r},
    numbers={numbers},
    categories={categories},
    classes={classes},
    contents={contents!r},
)


def stacked():
    return Perceptron(len(ROWS.numbers), tuple(ROWS.codes), ROWS.outputs, width=64{unit})


def model():
    return as_module(stacked())


def data(split):
    return ROWS.data(split)


def pairs(batch):
    return (batch["numbers"], batch["codes"]), batch["target"]


def loss(model, batch):
    inputs, target = pairs(batch)
    return F.{loss}(model(inputs){squeeze}, target)


def metrics(model, batch):
    inputs, target = pairs(batch)
    return {metric}
'''
CLASS = {"setting": 'HIGHER_IS_BETTER = ["accuracy"]\n', "loss": "cross_entropy", "squeeze": "", "unit": "",
         "metric": '{"accuracy": (model(inputs).argmax(1) == target).float().mean()}'}
NUMBER = {"setting": "", "loss": "mse_loss", "squeeze": ".squeeze(1)", "unit": ", unit=ROWS.scale",
          "metric": '{"absolute_error": ROWS.scale * (model(inputs).squeeze(1) - target).abs().mean()}'}


def write(place: str, options: Options) -> str:
    """The text of a task of that table."""
    file = existing(place)
    frame = read(file)
    target = str(options.get("target-column", ""))
    if not target:
        raise FieldError("--target-column", "", f"is missing: name the column to predict, one of "
                                                f"{', '.join(map(str, frame.columns[:20]))}")
    _check_column(frame, target)
    classes = _are_classes(frame[target], options.get("predict"))
    numbers, categories, left_out = _inputs(frame, target)
    if not numbers + categories:
        raise FieldError("data", str(file), "has no column to predict from: give a table with more that differ from row to row")
    rows = Rows(file, target, numbers, categories, classes)
    validation = int(rows.validates.sum())
    what = f"one of {len(rows.names)} classes" if classes else "a number (mean squared error, in standard deviations)"
    without = f" Left out, because they tell nothing of other rows: {', '.join(left_out[:10])}." if left_out else ""
    heading = described(
        f"Table {file.stem}",
        f"{len(frame) - validation:,} training and {validation:,} validation rows; {target} is predicted, {what}, from "
        f"{len(numbers)} columns of numbers and {len(categories)} of categories; a perceptron.{without}")
    return heading + TEXT.format(file=str(file), target=target, numbers=_listed(numbers), categories=_listed(categories),
                                 classes=classes, contents=fingerprint(file, [file]), **(CLASS if classes else NUMBER))


def _listed(names: list[str]) -> str:
    """A list in a file, broken where it is long."""
    return pprint.pformat(names, width=110, compact=True).replace("\n", "\n            ")


ADAPTER = Adapter("table", "FILE", "rows of .csv, .tsv or .parquet", write, {
    "target-column": "the column to predict",
    "predict": f"the target as {' or '.join(PREDICTIONS)} (default: class for text, true and false and up to {MOST_CLASSES} "
               "whole numbers)",
})
