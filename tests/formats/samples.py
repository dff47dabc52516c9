"""The configurations in tests/data/configs, and the way of a configuration through import, transfer, export and import."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqrtscale.formats import Imported, Patched, patch, read
from sqrtscale.rules import ScaledConfig, TrainingConfig, scale
from sqrtscale.rules.batch import Batch

FOLDER = Path(__file__).resolve().parents[1] / "data" / "configs"
ALL = sorted(path.name for path in FOLDER.iterdir() if path.name != "README.md")
EXPECTATIONS = FOLDER.parent / "expected"
NAMES = [name for name in ALL if not (EXPECTATIONS / f"{name}.json").exists()]  # their expectations stand in test_import.py


def close(value):
    """Numbers within 1e-12, anything else as it is: what a file holds after an export."""
    if isinstance(value, dict):
        return {key: close(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [close(inner) for inner in value]
    return pytest.approx(value, rel=1e-12, abs=0) if isinstance(value, float) else value


def same(config: TrainingConfig, other: TrainingConfig) -> bool:
    """True where two configurations agree within 1e-12."""
    return config.as_dict() == close(other.as_dict())


def text_of(name: str) -> str:
    return (FOLDER / name).read_text()


def asked(found: Imported) -> list[str]:
    return [question.field for question in found.questions if question.required]


def answers(found: Imported, batch: Batch, lr: float | None = None, optimizer: str = "adamw") -> dict:
    """What a user whose batch is that would answer."""
    per_device = batch.per_device * batch.devices if found.format == "keras" else batch.per_device
    known = {"devices": batch.devices, "per_device": per_device, "accumulation": batch.accumulation, "batch_size": batch.size,
             "optimizer": optimizer, "lr": lr}
    return {name: known[name] for name in asked(found)}


def there_and_back(text: str, base: Batch, target: Batch, form: str = "linear",
                   lr: float = 1e-3) -> tuple[TrainingConfig, ScaledConfig, Patched, TrainingConfig]:
    """Base configuration, its transfer, the patched file, and what an import of that file gives."""
    found = read(text)
    config = found.config(answers(found, base, lr))
    scaled = scale(config, target.size, form)
    out = patch(text, found, scaled, target)
    again = read(out.text)
    return config, scaled, out, again.config(answers(again, target, scaled.config["lr"]))
