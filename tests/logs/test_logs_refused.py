"""What cannot be read is refused in one sentence that says what to do."""

import gzip
import random

import pytest
from log_samples import SAMPLES, crc32c, put

from sqrtscale import logs
from sqrtscale.logs import _json, _series, _source
from sqrtscale.rules import FieldError

JUNK = random.Random(0).randbytes(4000)
PACKED = gzip.compress(JUNK.hex().encode())
REFUSED = {  # what -> (name, bytes, words of the sentence)
    "an empty file": ("a.csv", b"", "is empty"),
    "an empty gzip file": ("a.csv.gz", gzip.compress(b""), "is empty"),
    "binary junk": ("a.csv", b"\0" + JUNK, "is no log that is known"),
    "junk that is called an event file": ("events.out.tfevents.1", JUNK, "is no log that is known"),
    "a truncated gzip file": ("a.csv.gz", PACKED[: len(PACKED) // 2], "damaged or truncated gzip"),
    "gzip with other bytes in it": ("a.csv.gz", PACKED[:40] + b"xxxx" + PACKED[44:], "damaged or truncated gzip"),
    "Latin-1": ("a.csv", "step,größe\n1,2\n".encode("latin1"), "not UTF-8"),
    "Latin-1 far from the beginning": ("a.csv", b"step,loss,x\n" + b"1,2,ok\n" * 20_000 + b"1,2,\xfc\n", "not UTF-8"),
    "UTF-16": ("a.csv", "step,loss\n1,2\n".encode("utf-16"), "is UTF-16 text: save it again as UTF-8"),
    "two columns of one name": ("a.csv", b"step,loss,loss\n1,2,3\n", "has two columns named 'loss'"),
    "two runs of one name": ("a.csv", b"Step,a - loss,a - loss\n1,2,3\n", "has two columns named 'a - loss'"),
    "two keys of one name": ("a.jsonl", b'{"step": 1, "loss": 1, "loss": 2}\n', "has two metrics named 'loss' in line 1"),
    "no numbers": ("a.csv", b"step,phase\n1,a\n2,b\n", "has no numbers but those that count steps"),
    "only column names": ("a.csv", b"step,loss\n", "has column names and no rows"),
    "no axis": ("a.csv", b"loss,acc\n1,2\n", "no column that counts steps"),
    "only time": ("a.csv", b"timestamp,loss\n1,2\n", "no column that counts steps"),
    "no column names": ("a.csv", b"1,2.5\n2,2.25\n", "is no log that is known"),
    "prose": ("a.txt", b"We trained for two days.\nIt went well.\n", "is no log that is known"),
    "JSON lines that are no objects": ("a.jsonl", b'{"step": 1, "loss": 2}\n[1, 2]\n', "has no object in line 2"),
    "nesting without an end": ("a.jsonl", b'{"step": 1, "loss": 2}\n' + b"[" * 100_000 + b"\n{}\n", "is broken at line 2"),
    "a broken trainer_state.json": ("trainer_state.json", b'{"log_history": [', "is broken JSON"),
    "a trainer_state.json of nothing": ("trainer_state.json", b'{"log_history": []}', "has no numbers|has no points|has no log"),
    "an unfinished database": ("mlflow.db", SAMPLES["mlflow.db"][:5000], "is a damaged database"),
    "a damaged event file": (
        "events.out.tfevents.1.host",
        SAMPLES["tb/base-1/events.out.tfevents.1.host"][:200] + b"x" + SAMPLES["tb/base-1/events.out.tfevents.1.host"][201:],
        "damaged",
    ),
    "records of something else": (
        "a.tfrecord",
        b"".join(
            [
                (8).to_bytes(8, "little"),
                crc32c((8).to_bytes(8, "little")).to_bytes(4, "little"),
                b"\xff" * 8,
                crc32c(b"\xff" * 8).to_bytes(4, "little"),
            ]
        ),
        "a record that is no event",
    ),
}


def refusal(*arguments, **given):
    with pytest.raises(FieldError) as caught:
        logs.read(*arguments, **given)
    message = str(caught.value)
    assert caught.value.field in ("logs", "reader", "names") and "\n" not in message and len(message) < 600
    return message


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(what, tmp_path):
    import re

    name, data, words = REFUSED[what]
    path = tmp_path / "run" / name
    path.parent.mkdir()
    path.write_bytes(data)
    message = refusal(path)
    assert re.search(words, message) and f"'{name}'" in message and str(tmp_path) not in message and ": " in message


def test_folders_without_a_log(tmp_path):
    assert "is not there: give a file or a folder of logs" in refusal(tmp_path / "nowhere.csv")
    assert "holds no log that is known: give a folder with one of the files" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "model.bin").write_bytes(JUNK)
    assert "holds no log that is known" in refusal(tmp_path)
    (tmp_path / ".aim").mkdir()
    assert "Aim's own database (.aim) as CSV" in refusal(tmp_path)
    assert "names no file" in refusal([])


def test_in_a_folder_other_texts_are_passed_over_and_damage_to_a_log_is_not(tmp_path):
    put(tmp_path, "hf/base-1/trainer_state.json")
    (tmp_path / "hf/base-1/config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "hf/base-1/model.safetensors").write_bytes(JUNK)
    read = logs.read(tmp_path)
    assert [run.name for run in read.runs] == ["base-1"]
    assert any(note.startswith("config.json was passed over: it has no column that counts steps") for note in read.notes)
    (tmp_path / "hf/base-1/trainer_state.json").write_text('{"log_history": [')
    assert "is broken JSON" in refusal(tmp_path)


def test_a_file_of_several_programs_is_asked_about(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,base - loss\n1,2.5\n")
    message = refusal(path)
    assert "name the reader" in message and "(lightning)" in message and "(wandb_csv)" in message
    assert list(logs.read(path, reader="wandb_csv")["base"].curves) == ["loss"]
    assert list(logs.read(path, reader="lightning").metrics) == ["base - loss"]
    (tmp_path / "model.bin").write_bytes(JUNK)
    assert list(logs.read(tmp_path, reader="lightning").metrics) == ["base - loss"]
    assert "reader = 'csvv' is not known" in refusal(path, reader="csvv")


@pytest.mark.parametrize("reader", logs.NAMES)
def test_a_reader_that_is_named_refuses_what_it_cannot_read(reader, tmp_path):
    for name in ("points.jsonl", "wide.csv", "mlflow.db", "tb/base-1/events.out.tfevents.1.host"):
        path = put(tmp_path, name)
        try:
            assert logs.read(path, reader=reader).runs
        except FieldError as error:
            assert "\n" not in str(error)


def test_more_than_memory_holds_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(_series, "MOST_POINTS", 30)
        assert "has more than 30 points: export fewer metrics or runs" in refusal(put(tmp_path, "wide.csv"))
    with monkeypatch.context() as patched:
        patched.setattr(_source, "MOST_DOCUMENT", 500)
        assert "too large for one JSON document: export JSON lines or CSV" in refusal(put(tmp_path, "trackio.json"))
    with monkeypatch.context() as patched:
        patched.setattr(logs, "MOST_POINTS", 30)
        put(tmp_path / "both", "points.jsonl")
        put(tmp_path / "both", "european.csv")
        assert "brings more than 30 points: give fewer runs at a time" in refusal(tmp_path / "both")
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 2}\n{"x": "' + b"y" * 2**24 + b'"}\n')
    assert "has lines of more than 16 MB" in refusal(path)


def test_a_gzip_file_that_unpacks_without_an_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_source, "MOST_BYTES", 2**20)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"step": 1, "loss": 2}\n' * 200_000))
    assert "of text: export fewer runs or metrics" in refusal(path)


def test_only_the_first_lines_are_looked_at_for_twins_and_the_rest_still_is_json(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 1, "loss": 2}\n' * (_json.CHECKED + 5) + '{"step": 2, "loss": 2} x\n{"step": 3, "loss": 1}\n')
    assert f"is broken at line {_json.CHECKED + 6}" in refusal(path)
