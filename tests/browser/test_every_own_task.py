"""Tasks of every kind in a real Chromium: found, read, launched and watched to the end, held to a plain loop in torch."""

from __future__ import annotations

import sys

import pytest
from own_kinds import EVERY, add_checked, plain_loop
from playwright.sync_api import expect
from test_calibrations import launch, state
from test_own_task import UNTIMED

from sqrtscale.tasks import OwnTask

SAMPLES = 256  # 8 steps of base, 2 of the arms


def test_a_task_of_every_kind_is_trained_as_a_plain_loop_trains_it(visit, store, tmp_path, monkeypatch):
    """Launched one after another, while those before them train."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # a task's file adds its folder
    names, ids = {}, {}
    for kind in EVERY:
        (tmp_path / kind).mkdir()
        file, names[kind] = add_checked(kind, tmp_path / kind)
        about = OwnTask(file)
        page = visit("/calibrate")
        page.get_by_text(about.title, exact=True).click()
        expect(page.get_by_text(about.description, exact=True)).to_be_visible()
        page.get_by_text("What the check found").click()
        expect(page.get_by_text(file.findings[0].text)).to_be_visible()
        expect(page.get_by_role("spinbutton", name=f"Samples per run ({about.samples})")).to_be_visible()
        ids[kind] = launch(page, SAMPLES, UNTIMED)
    for kind, id in ids.items():
        page = visit(f"/results?id={id}")
        state(page, "DONE")
        record, curves = store.get(id), store.curves(id)
        about = OwnTask(record.plan.own)
        expect(page.get_by_text(f"{about.title}, a model of {about.file.facts.parameters:,} parameters").first).to_be_visible()
        assert record.plan.own.name == kind and len(record.plan.arms) == 4
        for arm in record.plan.arms:
            config = record.plan.config_of(arm)
            plain = plain_loop(about, config, names[kind])
            plain.train(0, SAMPLES // config.batch_size, config.batch_size)
            curve = curves[(curves["arm"] == arm) & (curves["metric"] == "val_loss")]
            loose = about.source.precision == "bf16"
            assert curve["value"].iloc[-1] == pytest.approx(plain.validation_loss(), rel=1e-2 if loose else 1e-4), (kind, arm)
            assert curve["value"].nunique() == len(curve) > 2, (kind, arm)
