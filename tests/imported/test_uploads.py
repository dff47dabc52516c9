"""Uploads become files that the readers take: runs keep their names, and nothing stays or leads out of its folder."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass

import pytest

from sqrtscale import FieldError
from sqrtscale.compared import ImportedArm, ImportedPlan, ImportedRun, LogFile
from sqrtscale.report import judge_command
from sqrtscale.ui import uploads

CSV = b"step,loss,epoch\n1,2,0.1\n2,1.5,0.2\n"
METER = b'{"samples": 8, "signal": 1, "noise": 3}\n'


@dataclass
class Upload:
    name: str
    content: bytes = CSV

    @property
    def size(self) -> int:
        return len(self.content)

    def getbuffer(self) -> memoryview:
        return memoryview(self.content)


def state(step: int) -> bytes:
    return json.dumps({"log_history": [{"step": step, "loss": 2.0}], "global_step": step}).encode()


def names(*given: Upload) -> list[str]:
    return [run.name for run in uploads.read(given).logs.runs]


def test_runs_are_called_by_their_files_or_by_their_folders():
    assert names(Upload("base-1.csv"), Upload("scaled-1.csv")) == ["base-1", "scaled-1"]
    assert names(Upload("runs/base/trainer_state.json", state(1)), Upload("runs/scaled/trainer_state.json", state(2))) == [
        "base",
        "scaled",
    ]
    assert names(Upload("trainer_state.json", state(1)), Upload("trainer_state.json", state(2))) == ["upload-1", "upload-2"]
    assert names(Upload("a.csv"), Upload("a.csv", CSV.replace(b"2", b"3"))) == ["upload-1/a", "upload-2/a"]


def test_a_meters_file_belongs_to_the_run_of_its_name():
    [run] = uploads.read([Upload("base-1.csv"), Upload("base-1.noise.jsonl", METER)]).logs.runs
    assert set(run.curves) == {"loss"} and set(run.measurements) >= {"signal", "noise"}


def test_files_of_a_folder_that_are_no_logs_are_passed_over():
    assert names(Upload("runs/base/metrics.csv"), Upload("runs/base/model.bin", bytes(range(256)))) == ["base"]


def test_only_what_a_comparison_may_be_over_is_kept():
    [run] = uploads.read([Upload("base-1.csv")]).logs.runs
    assert run.curves["loss"].axes == ("step",) and list(run.curves["loss"].points.columns) == ["step", "value"]


@pytest.mark.parametrize("name", ["../evil.csv", "a/../../evil.csv", "/etc/evil.csv", "..\\evil.csv", "a\0b.csv", "", "a" * 300])
def test_no_name_leads_out_of_its_folder(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "inside"))
    (tmp_path / "inside").mkdir()
    with pytest.raises(FieldError, match="is no name of a file that can be kept"):
        uploads.read([Upload(name)])
    assert [path.name for path in tmp_path.rglob("*")] == ["inside"]


@pytest.mark.parametrize("content", [CSV, b"", b"step,loss,loss\n1,2,3\n"])
def test_nothing_of_an_upload_stays_on_the_disk(content, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        uploads.read([Upload("base-1.csv", content)])
    except FieldError as error:
        assert content != CSV and error.value == "base-1.csv"
    assert list(tmp_path.iterdir()) == []


def test_what_is_too_large_together_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(Upload, "size", uploads.LARGEST_UPLOAD * uploads.MEGABYTE // 2 + 1)
    with pytest.raises(FieldError, match="are larger than 500 MB together"):
        uploads.read([Upload("base-1.csv"), Upload("base-2.csv")])


def test_more_files_join_and_a_run_of_the_same_name_gets_a_number():
    first = uploads.read([Upload("base-1.csv")])
    again = uploads.read([Upload("base-1.csv"), Upload("base-2.csv")])
    other = uploads.read([Upload("base-1.csv", CSV.replace(b"1.5", b"1.25"))])
    together = uploads.added(uploads.added(first, again), other)
    assert [run.name for run in together.logs.runs] == ["base-1", "base-2", "base-1 (2)"]
    assert together.files == ("base-1.csv", "base-2.csv")


def test_columns_are_named_as_they_are_typed():
    assert uploads.column_names("step=tick, samples = seen") == {"step": "tick", "samples": "seen"} and not uploads.column_names(
        " "
    )
    with pytest.raises(FieldError, match="names no column"):
        uploads.column_names("step")


def test_the_command_names_files_that_are_called_alike_by_their_folders():
    runs = tuple(
        ImportedRun(arm, 0, f"{arm}-run", (LogFile("trainer_state.json", arm, "trainer_state"),)) for arm in ("base", "scaled")
    )
    arms = (ImportedArm("base", 8, "base"), ImportedArm("scaled", 16, "rule"))
    assert judge_command(ImportedPlan("loss", arms, runs, "steps", "batch")).splitlines()[:2] == [
        "sqrtscale judge --base base-run/trainer_state.json \\",
        "    --arm scaled=scaled-run/trainer_state.json \\",
    ]
    chart = tuple(ImportedRun(arm, 0, f"{arm}-run", (LogFile("chart.csv", "same", "wandb_csv"),)) for arm in ("base", "scaled"))
    assert "--base chart.csv::base-run" in judge_command(ImportedPlan("loss", arms, chart, "steps", "batch"))
