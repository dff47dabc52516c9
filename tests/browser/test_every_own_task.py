"""Tasks of other kinds in a real Chromium: found, read, launched and watched to the end, held to a plain loop in torch."""

from __future__ import annotations

import os
import re
import sys

import pytest
from driving import until
from own_kinds import EVERY, add_checked, plain_loop
from playwright.sync_api import expect
from test_calibrations import launch, state

from sqrtscale.tasks import OwnTask

SAMPLES = 256  # 8 steps of base, 2 of the arms
# A stack, and a library's model with padding and a metric: a kind costs half a minute of a core. EVERY_KIND=true takes all.
KINDS = tuple(EVERY) if os.environ.get("EVERY_KIND") == "true" else ("images", "sst2")


def test_a_task_of_each_kind_is_trained_as_a_plain_loop_trains_it(visit, store, tmp_path, monkeypatch):
    """Launched one after another, while those before them train."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # a task's file adds its folder
    made, ids = {}, {}
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        made[kind] = add_checked(kind, tmp_path / kind)
    page = visit("/calibrate")
    for kind, (file, _) in made.items():
        about = OwnTask(file)
        page.get_by_role("link", name="Calibrate", exact=True).click()
        page.get_by_role("radio", name=about.title, exact=True).click()
        expect(page.get_by_text(about.description, exact=True).last).to_be_visible()
        page.get_by_text(re.compile(r"^What the check found(: \d+ to look at)?$")).click()
        expect(page.get_by_text(file.findings[0].text)).to_be_visible()
        expect(page.get_by_role("spinbutton", name=f"Samples per run ({about.samples})")).to_be_visible()
        ids[kind] = launch(page, SAMPLES)
    page.goto("about:blank")  # a page that watches costs as much as a training
    until(lambda: not store.queue(), "every calibration to end", patience=300)
    for kind, id in ids.items():
        page = visit(f"/results?id={id}")
        state(page, "DONE")
        record, curves = store.get(id), store.curves(id)
        about = OwnTask(record.plan.own)
        expect(page.get_by_text(f"{about.title}, a model of {about.file.facts.parameters:,} parameters").first).to_be_visible()
        assert record.plan.own.name == kind and len(record.plan.arms) == 4
        for arm in record.plan.arms:
            plain = plain_loop(about, arm.config, made[kind][1])
            plain.train(0, SAMPLES // arm.config.batch_size, arm.config.batch_size)
            curve = curves[(curves["arm"] == arm.name) & (curves["metric"] == "val_loss")]
            near = 1e-2 if about.source.precision == "bf16" else 1e-4
            assert curve["value"].iloc[-1] == pytest.approx(plain.validation_loss(), rel=near), (kind, arm.name)
            assert curve["value"].nunique() == len(curve) > 2, (kind, arm.name)
