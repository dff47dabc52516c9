"""Tables in text: read in chunks, exactly, and told apart by their columns: a row a point, or a column a metric."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ._axes import axis_of, normal
from ._points import Curves
from ._series import Columns, Names, Reading, Rows, Series, axes_of
from ._source import first_lines, head_of, refuse, text_of

CHUNK = 250_000
MOST_RUNS = 5_000  # of a wide table
METRIC_NAMES = ("metric", "metric_name", "tag", "key", "name", "variable")
VALUE_NAMES = ("value", "metric_value")
RUN_NAMES = ("run", "run_name", "run_id", "run_uuid", "run_hash", "experiment", "trial")
MISSING = ("", "None", "null", "NA", "N/A", "<NA>")
NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?|nan|[-+]?inf(inity)?", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"(^|[;\t])-?\d+,\d+($|[;\t\s])")


def header_of(head: bytes) -> tuple[list[str], str]:
    """The columns of a table by its first line, and what stands between them; no columns where it is none."""
    start = first_lines(head)
    if not start or start[0].lstrip().startswith(("{", "[")):
        return [], ","
    separator = max(",;\t", key=start[0].count)
    try:
        columns = next(csv.reader([start[0]], delimiter=separator), [])
    except csv.Error:
        return [], separator
    columns = [column.strip() for column in columns]
    is_header = len(columns) > 1 and not any(map(NUMBER.fullmatch, columns))
    return (columns if is_header and _is_row(start[1:2], len(columns), separator) else []), separator


def _is_row(lines: Sequence[str], cells: int, separator: str) -> bool:
    """Whether the line below the header, if there is one, is a row of as many cells, with a number among them."""
    try:
        row = [cell.strip() for cell in next(csv.reader(lines, delimiter=separator), [])]
    except csv.Error:
        return False
    return not lines or (len(row) <= cells and len(row) > 1 and any(map(NUMBER.fullmatch, row)))


def chunks(path: Path) -> Iterator[pd.DataFrame]:
    """A table in parts; cells that say NaN stay text, those that say nothing are missing. Refuses two columns of one name."""
    head = head_of(path)
    columns, separator = header_of(head)
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise refuse(path, f"has two columns named {twice[0]!r}: give each run or metric a name of its own and export it again")
    if not columns:
        raise refuse(path, "has no line of column names: write one above the numbers, for example step,loss")
    decimal = "," if separator == ";" and any(map(DECIMAL_COMMA.search, first_lines(head)[1:20])) else "."
    with text_of(path) as text, warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        try:
            for frame in pd.read_csv(
                text,
                sep=separator,
                decimal=decimal,
                chunksize=CHUNK,
                keep_default_na=False,
                na_values=list(MISSING),
                low_memory=False,
                index_col=False,
            ):
                frame.columns = [str(column).strip() for column in frame.columns]
                yield frame
        except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, OverflowError) as error:
            reason = str(error).strip().rpartition("error: ")[2].splitlines()[0][:200] if str(error) else "broken"
            raise refuse(path, f"is no table that can be read ({reason}): export it again") from error
        except ValueError as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            raise refuse(path, "is no table that can be read: export it again") from error


def numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray, int]:
    """The rows of a column that hold numbers, the numbers, and how many cells hold text."""
    present = column.notna().to_numpy()
    if column.dtype == bool:
        return np.array([], int), np.array([]), int(present.sum())
    if not isinstance(column.dtype, np.dtype) or column.dtype.kind not in "fiu":
        text = column.astype(str).str.strip()
        parsed = pd.to_numeric(text, errors="coerce").to_numpy(float)
        is_number = present & (~np.isnan(parsed) | (text.str.lower() == "nan").to_numpy())
        return np.flatnonzero(is_number), parsed[is_number], int((present & ~is_number).sum())
    values = column.to_numpy(float)
    return np.flatnonzero(present), values[present], 0


def extend(columns: Columns, frame: pd.DataFrame, leave: tuple[str, ...] = ()) -> None:
    """Append the rows of ``frame``, without the columns ``leave``."""
    parts = {}
    for name in frame.columns:
        if name in leave:
            continue
        rows, values, texts = numbers(frame[name])
        if len(values):
            parts[name] = (rows, values)
        if texts:
            columns.texts(name, texts)
    columns.extend(len(frame), parts)


def column_for(ours: str, usual: tuple[str, ...], columns: list[str], names: Names, path: Path) -> str | None:
    """The column that the user names for our word, or one of the usual names; None where there is none."""
    if ours in names:
        if names[ours] not in columns:
            raise refuse(path, f"has no column {names[ours]!r} for {ours}: give one of {', '.join(columns[:8])}")
        return names[ours]
    by_name = {normal(column): column for column in reversed(columns)}
    return next((by_name[name] for name in usual if name in by_name), None)


def read_table(path: Path, names: Names) -> Reading:
    """A table: long (columns of the metric's name and of its value) or wide (each other column a metric)."""
    columns = header_of(head_of(path))[0]
    metric = column_for("metric", METRIC_NAMES, columns, names, path)
    value = column_for("value", VALUE_NAMES, columns, names, path)
    run = column_for("run", RUN_NAMES, columns, names, path)
    if run is None and {"arm", "seed"} <= set(columns):
        run = "arm"
    keys = tuple(column for column in (run, "seed" if run == "arm" else None) if column is not None)
    return _long(path, names, metric, value, keys) if metric and value else _wide(path, names, keys)


def _wide(path: Path, names: Names, keys: tuple[str, ...]) -> Reading:
    rows = Rows(path)
    for frame in chunks(path):
        if keys:
            if frame[list(keys)].drop_duplicates().shape[0] > MOST_RUNS:
                raise refuse(path, f"has more than {MOST_RUNS:,} runs: export those that you compare")
            for name, part in frame.groupby(_key(frame, keys), sort=False):
                extend(rows.of(str(name)), part, keys)
        else:
            extend(rows.of(None), frame)
        rows.check()
    return rows.reading(names)


def _long(path: Path, names: Names, metric: str, value: str, keys: tuple[str, ...]) -> Reading:
    """Its columns are gathered as those of one run, and its values then told apart by the row that they stand in."""
    columns, curves = Columns(), Curves(path)
    for frame in chunks(path):
        curves.add(_key(frame, keys) if keys else pd.Series("", index=frame.index), frame[metric])
        left = [name for name in frame.columns if name != value and axis_of(name) is None and name not in names.values()]
        extend(columns, frame, (metric, *keys, *left))
    axes = axes_of(path, columns, names)
    rows, values = columns.of(value)
    if not len(rows):
        raise refuse(path, f"has no numbers in its column {value}: give a log with numbers")
    points = pd.DataFrame({**{axis: columns.dense(name)[rows] for axis, name in axes.items()}, "value": values})
    series = [Series(name, points.take(part), run if keys else None) for run, name, part in curves.apart(rows)]
    return Reading(series, columns.remarks)


def _key(frame: pd.DataFrame, keys: tuple[str, ...]) -> pd.Series:
    """The name of the run of each row: "base seed 3" from arm and seed."""
    label = frame[keys[0]].astype(str)
    for column in keys[1:]:
        label = label + f" {column} " + frame[column].astype(str)
    return label
