"""Rows of a data folder as other programs write it: save_to_disk of datasets, parquet, JSON lines, tabs, raw text.

What a file belongs to is told by the words of its path: train, validation (valid, val, dev, eval) or test. A file without such a
word is training data. The test data stand for the validation data where there are none, and are not read otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...rules import FieldError
from .files import files_below

Columns = dict[str, list[Any]]
Choose = Callable[[Sequence[str]], Sequence[str]]  # names of columns -> those that are wanted; raises FieldError
Reader = Callable[[Path, Choose], Columns]

TEXT = "text"  # the column of raw text
WORDS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(
    ("validation", "valid", "val", "dev", "eval"), "validation")
REMEDY = "give a folder that save_to_disk wrote, or one with files *.parquet, *.jsonl, *.tsv or *.txt"


def read_folder(folder: Path, choose: Choose) -> dict[str, Columns]:
    """The wanted columns of "train", and of "validation" where the folder has such data. Raises FieldError."""
    splits: dict[str, Columns] = {}
    readers = list(_readers(folder))
    validated = any(split == "validation" for split, _, _ in readers)
    for split, path, read in readers:
        if split == "test" and validated:  # often without the column of the answers
            continue
        try:
            columns = read(path, choose)
        except FieldError:
            raise
        except (OSError, ValueError, KeyError) as error:  # what pyarrow and json raise for damaged files among them
            reason = " ".join(str(error).split())[:200]
            raise FieldError("data", str(path), f"cannot be read ({reason}): mend or remove it") from error
        held = splits.setdefault(split, {name: [] for name in columns})
        for name, values in columns.items():
            held[name] += values
    if "train" not in splits:
        raise FieldError("data", str(folder), f"has data for {' and '.join(splits)} alone: name the files to train on train")
    if "validation" not in splits and "test" in splits:
        splits["validation"] = splits["test"]
    return {split: splits[split] for split in ("train", "validation") if split in splits}


def check_folder(folder: Path) -> None:
    """Raises FieldError for a folder without any data, which nothing has to be read for."""
    next(_readers(folder))


def _readers(folder: Path) -> Iterator[tuple[str, Path, Reader]]:
    """Split, path and reader of every file or saved dataset, of the first format that is there."""
    if not folder.is_dir():
        raise FieldError("data", str(folder), f"is no folder: {REMEDY}")
    files = files_below(folder)
    saved: list[tuple[Path, Reader]] = [
        (file.parent, _saved) for file in files
        if file.name == "state.json" and (file.parent / "dataset_info.json").is_file()]
    formats = [saved, *([(file, read) for file in files if file.suffix.lower() in endings] for read, endings in READERS)]
    read_by = next((pairs for pairs in formats if pairs), None)
    if read_by is None:
        raise FieldError("data", str(folder), f"has no data in it: {REMEDY}")
    for path, read in read_by:
        yield split_of(path, folder), path, read


def split_of(path: Path, folder: Path) -> str:
    """Train, validation or test, by the last word of the path below the folder that names one.

    For example data/train-00000-of-00001.parquet, wiki.valid.raw.
    """
    words = re.split("[^a-z]+", str(path.relative_to(folder)).lower())
    return next((WORDS[word] for word in reversed(words) if word in WORDS), "train")


def _saved(path: Path, choose: Choose) -> Columns:
    """One dataset of ``save_to_disk``: state.json names its Arrow streams."""
    import pyarrow

    columns: Columns = {}
    state = json.loads((path / "state.json").read_text())
    if state.get("_indices_data_files"):
        raise FieldError("data", str(path), "was saved as a choice of rows: call flatten_indices, and save it again")
    for file in state["_data_files"]:
        with pyarrow.memory_map(str(path / file["filename"])) as mapped:
            table = pyarrow.ipc.open_stream(mapped).read_all()
            for name in choose(table.column_names):
                columns.setdefault(name, []).extend(table.column(name).to_pylist())
    return columns


def _parquet(path: Path, choose: Choose) -> Columns:
    from pyarrow import parquet

    wanted = list(choose(parquet.read_schema(path).names))
    columns: Columns = parquet.read_table(path, columns=wanted, partitioning=None).to_pydict()
    return columns


def _json_lines(path: Path, choose: Choose) -> Columns:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise FieldError("data", str(path), 'is no file of JSON lines: give an object in each line, for example {"text": "..."}')
    wanted = choose(list(rows[0]))
    for name in wanted:
        missing = next((i for i, row in enumerate(rows, 1) if name not in row), None)
        if missing is not None:
            raise FieldError("data", str(path), f"has no {name} in row {missing}: give it in every row")
    return {name: [row[name] for row in rows] for name in wanted}


def _tabs(path: Path, choose: Choose) -> Columns:
    """As GLUE has them: names in the first line, no quotes. A column of whole numbers is one of numbers."""
    with path.open(encoding="utf-8", newline="\n") as file:
        names, *rows = [line.rstrip("\r\n").split("\t") for line in file if line.strip()] or [[]]
    wrong = next((i for i, row in enumerate(rows, 2) if len(row) != len(names)), None)
    if wrong is not None:
        raise FieldError("data", str(path), f"has {len(rows[wrong - 2])} columns in row {wrong} and {len(names)} names: give "
                                            "each row as many, with a tab between them")
    return {name: _whole([row[names.index(name)] for row in rows]) for name in choose(names)}


def _whole(values: list[str]) -> list[Any]:
    """As numbers, where all are whole ones."""
    return [int(value) for value in values] if all(re.fullmatch("-?[0-9]{1,9}", value) for value in values) else values


def _text(path: Path, choose: Choose) -> Columns:
    """A line a row, with its end."""
    (name,) = choose([TEXT])
    with path.open(encoding="utf-8") as file:
        return {name: list(file)}


READERS: tuple[tuple[Reader, tuple[str, ...]], ...] = (
    (_parquet, (".parquet",)), (_json_lines, (".jsonl", ".json", ".ndjson")), (_tabs, (".tsv",)),
    (_text, (".txt", ".raw", ".tokens")))
