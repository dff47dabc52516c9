"""What a calibration ran on and how fast, as a text to send: a first user's run is a measurement that nobody else has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..store import CalibrationRecord
from ..tasks import task


def ran_on(record: CalibrationRecord) -> str:
    """Lines of plain text; empty before a calibration has started."""
    known = record.environment
    return "\n".join(_lines(record, known)) if known else ""


def fault_sentences(known: dict[str, Any]) -> list[str]:
    """What is to be said of each time that training on a GPU failed in the middle; known: the environment of a calibration."""
    sentences = []
    for fault in known.get("faults", ()):
        where = "there" if fault["went_on"] == fault["device"] else f"on {fault['went_on']}, which rounds otherwise"
        sentences.append(f"Training on {fault['device']} failed in the middle ({fault['reason']}), and went on in a new process "
                         f"{where}.")
    return sentences


def _lines(record: CalibrationRecord, known: dict[str, Any]) -> Iterator[str]:
    packages = known.get("packages", {})
    plan = record.plan
    yield (f"calibration {record.id} of {plan.task} ({task(plan.task).model_of(plan.size)}), "
           f"{record.created_at:%Y-%m-%d %H:%M} UTC, {record.state}")
    yield f"device: {known.get('device_name', 'unknown')} ({known.get('device', 'unknown')}), {known.get('threads', '?')} threads"
    for card in known.get("gpus") or ():
        yield (f"cuda:{card['index']}: {card['name']}, capability {card['capability']}, "
               f"{card['memory'] / 2**30:.1f} GiB")
    if known.get("driver_cuda"):
        rounding = "TF32" if known.get("tf32") else "float32"
        yield f"driver: up to CUDA {known['driver_cuda']}; torch for CUDA {known.get('cuda')}; products of matrices in {rounding}"
    if known.get("executor"):
        yield f"executor: {known['executor']}"
    yield from fault_sentences(known)
    for group in known.get("groups", ()):
        how = f", {group['how']}" if group["how"] else ""
        name = f"{group['stream']}, " if group["stream"] != "branch" else ""
        models = f"{group['models']} model{'s' * (group['models'] > 1)}"
        where = f"{models} at batch {group['batch_size']} on {group['device']}"
        yield f"{name}{where}{how}: {group['steps']:,} steps, {group['ms']:.3g} ms each"
    if record.started_at and record.ended_at:
        yield f"{(record.ended_at - record.started_at).total_seconds():.1f} s in all"
    yield ", ".join([f"Python {known.get('python', '?')}", *(f"{name} {version}" for name, version in packages.items())])
