"""Logs as somebody uploads them: curves whose difference is known, and the answers to what they do not say."""

from __future__ import annotations

import json

import numpy as np
from streamlit.testing.v1 import AppTest

from .opening import page_at

BATCHES = {"base": 256, "scaled": 1024, "linear lr": 1024}
SHIFTS = {"base": 0.0, "scaled": 0.0005, "linear lr": 0.12}  # of the loss, the same at every point
SPREAD = 0.002  # of a run, without that of its seed


def curve(arm: str, seed: int) -> bytes:
    """A wide CSV of a run: losses at the same samples in every arm, shifted by what the arm's settings do."""
    samples = np.arange(1, 81) * 5120
    noise = np.random.default_rng([seed, len(arm)]).normal(0, SPREAD, len(samples))
    noise += np.random.default_rng(seed).normal(0, 0.003, len(samples))  # that all arms share
    values = 0.5 + 2 * np.exp(-samples / 60_000) + SHIFTS[arm] + noise
    steps = samples // BATCHES[arm]
    return "".join(
        [
            "step,eval_loss,train_loss\n",
            *(f"{step},{value:.6f},{value + 0.1:.6f}\n" for step, value in zip(steps, values, strict=True)),
        ]
    ).encode()


def files(arms=tuple(BATCHES), seeds=3) -> dict[str, bytes]:
    """Name -> content of the logs of each arm."""
    return {f"{arm.replace(' ', '-')}-{seed}.csv": curve(arm, seed) for arm in arms for seed in range(seeds)}


def meter(noise_scale: float) -> bytes:
    """What a NoiseMeter writes of a gradient with that noise scale, without scatter."""
    rows = ({"samples": 5120.0 * (i + 1), "signal": 1.0, "noise": noise_scale} for i in range(80))
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def read(logs: dict[str, bytes], app: AppTest | None = None) -> AppTest:
    """The judge page (a new one unless given) after these files were uploaded and Read was pressed."""
    app = app or page_at("pages/judge.py")
    app.file_uploader[0].set_value([(name, content, "text/plain") for name, content in logs.items()])
    button(app, "Read").click().run()
    assert not app.exception
    return app


def answer(app: AppTest, axis: str = "steps", **batches: str) -> AppTest:
    """Batches by arm, those of BATCHES unless given, and what the logs count."""
    for box in app.text_input:
        if box.label.startswith("Batch of "):
            arm = box.label.removeprefix("Batch of ")
            box.set_value(batches.get(arm) or str(BATCHES[arm]))
    app.radio(key="judge-axis").set_value(axis)
    app.run()
    assert not app.exception
    return app


def button(app: AppTest, label: str):
    """The button of that label."""
    [chosen] = [button for button in app.button if button.label == label]
    return chosen


def said(elements) -> str:
    """All that elements of one kind say, without Markdown's escapes."""
    return "\n".join(element.value for element in elements).replace("\\", "")
