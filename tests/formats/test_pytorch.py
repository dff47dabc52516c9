"""The PyTorch snippet, run against the real torch.optim."""

from __future__ import annotations

import ast

import pytest
import torch

from sqrtscale.formats.pytorch import snippet
from sqrtscale.rules import FAMILIES, TrainingConfig, scale

NAMES_IN_TORCH = {"beta1": ("betas", 0), "beta2": ("betas", 1)}


def made_by(text: str) -> torch.optim.Optimizer:
    names = {"model": torch.nn.Linear(2, 2)}
    exec(text, names)
    return names["optimizer"]


@pytest.mark.parametrize("target", [32, 256, 700, 1024])
@pytest.mark.parametrize("form", ["linear", "half-life"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_snippet_makes_the_scaled_optimizer(name, form, target):
    scaled = scale(TrainingConfig(name, 256, {"lr": 3e-4, "weight_decay": 0.1}), target, form)
    optimizer = made_by(snippet(scaled))
    assert type(optimizer) is getattr(torch.optim, FAMILIES[name].torch_class)
    group = optimizer.param_groups[0]
    for row in scaled.fields:
        key, index = NAMES_IN_TORCH.get(row.name, (row.name, None))
        found = group[key] if index is None else group[key][index]
        assert found == row.scaled, row.name


def test_batch_and_steps_are_comments():
    text = snippet(scale(TrainingConfig("adam", 256, total_steps=100_000, warmup_steps=2_000), 1024))
    for line in ("# global batch size: 1024", "# total steps: 25000", "# warm-up steps: 500",
                 "# batch 256 -> 1024 (kappa = 4), square-root rule"):
        assert line in text.splitlines()


def test_a_field_without_a_number_is_named_and_nothing_is_made():
    scaled = scale(TrainingConfig("adamw", 256), 8192)
    text = snippet(scaled)
    assert ast.parse(text).body == []  # valid Python, comments alone
    assert "# beta1 has no number." in text and "half-life form" in text
    assert f"# lr = {scaled.fields[0].scaled!r}" in text
    assert "torch.optim" not in text


def test_every_digit_survives():
    scaled = scale(TrainingConfig("adam", 256, {"lr": 1e-3}), 2048)
    assert "lr=0.00282842712474619" in snippet(scaled)
