"""A user's own task in a real Chromium, with real processes: added by the command line, read, launched, watched, added again."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from driving import ROOT, wait_ready
from playwright.sync_api import expect
from test_calibrations import launch, state

TABLE = ROOT / "tests" / "recipes" / "own" / "table.py"


@pytest.fixture
def add(server, tmp_path):
    """Writes a version of the file and adds it, as its owner would."""
    def version(title: str) -> None:
        path = tmp_path / "patients.py"
        text = TABLE.read_text()
        path.write_text(f'"""{title}.\n\nTen features of each."""\n' + text[text.index("import torch"):])
        subprocess.run([sys.executable, "-m", "sqrtscale", "tasks", "add", str(path), "--device", "cpu"], check=True, cwd=ROOT,
                       env=server.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return version


def test_an_own_task_is_read_launched_and_judged_and_another_version_is_trained_anew(visit, store, add):
    add("Patients of a clinic")
    page = visit("/calibrate")
    page.get_by_text("Patients of a clinic", exact=True).click()
    expect(page.get_by_text("Ten features of each.")).to_be_visible()
    page.get_by_text("What the check found", exact=True).click()
    expect(page.get_by_text("The loss is a mean: L(a + b) = (L(a) + L(b)) / 2")).to_be_visible()
    wait_ready(page)
    first = launch(page, 640)
    state(page, "DONE")
    expect(page.get_by_text(re.compile("Patients of a clinic, a model of 193 parameters"))).to_be_visible()
    expect(page.get_by_text("This run does not test the scaling").first).to_be_visible()  # from scratch the signal dominates
    add("The same patients in another year")
    page.get_by_role("link", name="All results").click()
    expect(page.get_by_text("1 calibration, newest first")).to_be_visible()
    page = visit("/calibrate")
    expect(page.get_by_text("Patients of a clinic", exact=True)).to_have_count(0)
    page.get_by_text("The same patients in another year", exact=True).click()
    expect(page.get_by_text("Ten features of each.")).to_be_visible()
    wait_ready(page)
    second = launch(page, 640)
    state(page, "DONE")
    assert not store.reused(second)
    plans = [store.get(id).plan for id in (first, second)]
    assert plans[0].task != plans[1].task and plans[0].base == plans[1].base and plans[0].runs == plans[1].runs
    page = visit(f"/results?id={first}")
    expect(page.get_by_text(re.compile("Patients of a clinic, a model of 193 parameters"))).to_be_visible()
