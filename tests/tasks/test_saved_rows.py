"""Rows of folders as other programs write them."""

import json

import pandas as pd
import pyarrow
import pytest

from sqrtscale.rules import FieldError
from sqrtscale.tasks.adapters.saved_rows import read_folder

ROWS = {"train": ["a b", "c", "d e"], "validation": ["f"], "test": ["g", "h"]}


def texts(folder):
    """Of each split that was read."""
    return {split: columns["text"] for split, columns in read_folder(folder, lambda names: ["text"]).items()}


def saved_to_disk(folder, rows):
    """As ``datasets`` has it: Arrow streams, which state.json names in their order."""
    folder.mkdir(parents=True)
    files = [f"data-{i:05d}-of-00002.arrow" for i in range(2)]
    for file, part in zip(files, (rows[:1], rows[1:]), strict=True):
        table = pyarrow.table({"text": pyarrow.array(part, pyarrow.string()), "id": list(range(len(part)))})
        with pyarrow.ipc.new_stream(str(folder / file), table.schema) as stream:
            stream.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file} for file in files]}))
    (folder / "dataset_info.json").write_text("{}")


def parquet(folder, split, rows):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    half = len(rows) // 2
    for i, part in enumerate((rows[:half], rows[half:])):
        pd.DataFrame({"id": range(len(part)), "text": pd.Series(part, dtype=object)}).to_parquet(
            folder / "data" / f"{split}-{i:05d}-of-00002.parquet")


def json_lines(folder, split, rows):
    folder.mkdir(exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps({"n": 1, "text": row}) + "\n" for row in rows))


def tabs(folder, split, rows):
    folder.mkdir(exist_ok=True)
    (folder / f"{split}.tsv").write_text("n\ttext\n" + "".join(f"{n}\t{row}\n" for n, row in enumerate(rows)))


def raw(folder, split, rows):
    folder.mkdir(exist_ok=True)
    (folder / f"wiki.{split}.tokens").write_text("\n".join(rows))
    (folder / "README.md").write_text("no data")


@pytest.mark.parametrize(
    "write", [lambda folder, split, rows: saved_to_disk(folder / split, rows), parquet, json_lines, tabs, raw],
    ids=["save_to_disk", "parquet", "JSON lines", "tabs", "text"])
def test_the_splits_of_every_format(tmp_path, write):
    folder = tmp_path / "test train"  # the folder's own name says nothing of its files
    expected = dict(ROWS)
    for split in ("test", "train"):
        write(folder, split, ROWS[split])
    if write is raw:
        expected = {split: [row + "\n" for row in rows[:-1]] + rows[-1:] for split, rows in ROWS.items()}
    assert texts(folder) == {"train": expected["train"], "validation": expected["test"]}  # the test data stand for it
    write(folder, "valid", ROWS["validation"])
    assert texts(folder) == {"train": expected["train"], "validation": expected["validation"]}


def test_one_saved_dataset_and_files_without_a_split_are_training_data(tmp_path):
    saved_to_disk(tmp_path / "saved", ROWS["train"])
    json_lines(tmp_path, "notes", ["z"])
    assert texts(tmp_path) == {"train": ROWS["train"]}  # a saved dataset goes before loose files
    assert texts(tmp_path / "saved") == {"train": ROWS["train"]}


def test_columns_between_tabs_have_no_quotes_and_are_numbers_where_all_are(tmp_path):
    """As GLUE's files: its test rows have other columns, and nobody asks for them."""
    (tmp_path / "train.tsv").write_bytes(b'sentence\tlabel\n"a" b \t1\r\n3 \xc2\x85 d\t0\n')
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\ne\tgood\n")
    (tmp_path / "test.tsv").write_text("index\tsentence\n0\tf\n")
    read = read_folder(tmp_path, lambda names: [name for name in ("sentence", "label") if names.index(name) >= 0])
    assert read == {"train": {"sentence": ['"a" b ', "3 \x85 d"], "label": [1, 0]},
                    "validation": {"sentence": ["e"], "label": ["good"]}}


def test_a_saved_choice_of_rows_is_not_taken_for_all_of_them(tmp_path):
    saved_to_disk(tmp_path / "a", ROWS["train"])
    state = json.loads((tmp_path / "a" / "state.json").read_text())
    (tmp_path / "a" / "state.json").write_text(json.dumps(state | {"_indices_data_files": [{"filename": "indices.arrow"}]}))
    with pytest.raises(FieldError, match="was saved as a choice of rows: call flatten_indices"):
        texts(tmp_path)


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("a.parquet", "PAR?", "a.parquet' cannot be read (Parquet"),
    ("a.jsonl", '{"text": "a"}\n{"text"\n', "a.jsonl' cannot be read (Expecting"),
    ("a.json", '[{"text": "a"}]', "a.json' is no file of JSON lines: give an object in each line"),
    ("a.jsonl", '{"text": "a"}\n{"words": "a"}', "a.jsonl' has no text in row 2: give it in every row"),
    ("a.tsv", "text\tn\na\t1\nb\n", "a.tsv' has 1 columns in row 3 and 2 names: give each row as many, with a tab between them"),
    ("valid.txt", "a", "has data for validation alone: name the files to train on train"),
    ("a.csv", "text\na", "has no data in it: give a folder that save_to_disk wrote, or one with files *.parquet"),
])
def test_what_cannot_be_read_is_a_sentence(tmp_path, monkeypatch, name, content, sentence):
    (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FieldError) as raised:
        read_folder((tmp_path / ".").relative_to(tmp_path), lambda names: ["text"])
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_text_that_is_no_utf8_and_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FieldError, match=r"cannot be read .*utf-8"):
        texts(tmp_path)
    with pytest.raises(FieldError, match="is no folder"):
        texts(tmp_path / "elsewhere")
