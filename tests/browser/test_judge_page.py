"""Judging logs in a real Chromium: files and folders are uploaded, assigned, judged, opened by their address, compared."""

from __future__ import annotations

import json
import re

import pytest
import stored
from driving import wait_ready
from pages.uploaded import curve, files
from playwright.sync_api import Page, expect


@pytest.fixture
def logs(tmp_path):
    """The files of two runs an arm, as they lie on a disk."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, content in files(seeds=2).items():
        (folder / name).write_bytes(content)
    return folder


def upload(page: Page, *paths) -> None:
    """Choose files, or a folder for the box that takes one, and read them."""
    page.locator("input[type=file]:not([webkitdirectory])").set_input_files(paths)
    expect(page.get_by_role("button", name=f"Remove {paths[-1].name}")).to_be_attached()
    page.get_by_role("button", name="Read").click()
    wait_ready(page)


def answer(page: Page, arms: dict[str, int]) -> None:
    for arm, batch in arms.items():
        page.get_by_label(f"Batch of {arm}", exact=True).fill(str(batch))
        page.keyboard.press("Tab")
        wait_ready(page)
    page.get_by_text("Optimizer steps", exact=True).click()
    wait_ready(page)


def test_logs_are_uploaded_assigned_judged_opened_again_and_compared(visit, logs, store):
    page = visit("/judge")
    upload(page, *sorted(logs.iterdir()))
    expect(page.get_by_text("6 runs in 6 files")).to_be_visible()
    # An arm of somebody's own, typed; the next run is offered its name. Enter would take what the list shows at that moment.
    for seed, taken_in in enumerate((
        expect(page.get_by_label("Batch of half momentum")).to_be_visible,
        expect(page.get_by_label("Batch of linear lr")).to_be_hidden,
    )):
        page.get_by_label(f"Arm of linear-lr-{seed}").click()
        page.get_by_label(f"Arm of linear-lr-{seed}").fill("half momentum")
        page.get_by_role("option", name="half momentum").click()
        taken_in()
        wait_ready(page)
    answer(page, {"base": 256, "scaled": 1024, "half momentum": 1024})
    page.get_by_text("Yes, runs of the same seed").click()
    wait_ready(page)
    for arm in ("base", "scaled"):
        for seed in range(2):
            expect(page.get_by_label(f"Seed of {arm}-{seed}")).to_have_value(str(seed))
    page.get_by_role("button", name="Judge", exact=True).click()
    expect(page).to_have_url(re.compile(r"/results\?id=[0-9a-f]{12}"))
    expect(page.get_by_test_id("stAlert").first).to_be_visible()
    wait_ready(page)
    verdict = page.get_by_test_id("stAlert").first.inner_text()
    assert "base" in verdict
    [summary] = store.summaries()
    plan = store.record(summary.id).plan
    assert [arm.name for arm in plan.arms] == ["base", "scaled", "half momentum"] and plan.paired and len(plan.runs) == 6

    visit(f"/results?id={summary.id}")
    expect(page.get_by_test_id("stAlert").first).to_have_text(verdict)
    expect(page.locator(".live-plot")).to_have_count(3)
    calibration = stored.calibration(store, name="trained here")
    visit(f"/compare?ids={summary.id},{calibration}")
    expect(page.get_by_role("link", name="trained here")).to_be_visible()
    expect(page.get_by_role("link", name="imported: batch 256 → 1024")).to_be_visible()
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


def test_a_folder_brings_runs_whose_files_have_the_same_name(visit, tmp_path):
    page = visit("/judge")
    for arm, batch in (("base", 256), ("scaled", 1024)):
        for seed in range(2):
            rows = curve(arm, seed).decode().splitlines()[1:]
            history = [{"step": int(step), "eval_loss": float(loss)} for step, loss, _ in (row.split(",") for row in rows)]
            folder = tmp_path / "runs" / f"{arm}-{seed}"
            folder.mkdir(parents=True)
            state = {"log_history": history, "global_step": history[-1]["step"], "train_batch_size": batch}
            (folder / "trainer_state.json").write_text(json.dumps(state))
            (folder / "config.yaml").write_text("not: a log\n")
    page.get_by_text("Runs whose files have the same name").click()
    page.locator("input[type=file][webkitdirectory]").set_input_files(tmp_path / "runs")
    expect(page.get_by_role("button", name="Remove").first).to_be_attached()
    page.get_by_role("button", name="Read").click()
    wait_ready(page)
    expect(page.get_by_text("4 runs in 8 files")).to_be_visible()
    for arm in ("base", "scaled"):
        expect(page.get_by_label(f"Arm of {arm}-1")).to_have_value(arm)


def test_what_cannot_be_read_gets_a_sentence_and_the_next_file_is_read(visit, tmp_path):
    page = visit("/judge")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "twice.csv").write_text("step,loss,loss\n1,2,3\n")
    (tmp_path / "run.bin").write_bytes(bytes(range(256)) * 9)
    for name, sentence in (
        ("empty.csv", "is empty"),
        ("twice.csv", "has two columns named"),
        ("run.bin", "is no log that is known"),
    ):
        upload(page, tmp_path / name)
        expect(page.get_by_test_id("stAlert")).to_contain_text(sentence)
        page.get_by_role("button", name=f"Remove {name}").click()
        wait_ready(page)
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(201 * 2**20)
    page.locator("input[type=file]:not([webkitdirectory])").set_input_files(tmp_path / "large.csv")
    expect(page.get_by_text("200.0MB or smaller")).to_be_visible()
    page.get_by_role("button", name="Remove large.csv").click()
    (tmp_path / "base-0.csv").write_bytes(curve("base", 0))
    upload(page, tmp_path / "base-0.csv")
    expect(page.get_by_text("1 run in 1 file")).to_be_visible()
