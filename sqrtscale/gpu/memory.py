"""What was found out about GPUs, kept in one file of the home, for as long as driver, torch and cards are the same."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from ..home import home, owner_only, private_folder

MOST = 20  # machines and settings that are kept
FAILURES_FOR = 3600.0  # seconds: a driver that fails may be mended without a sign of it
Kept = TypeVar("Kept")


def recall(kind: str, fingerprint: str, read: Callable[[dict[str, Any]], Kept]) -> Kept | None:
    """What was kept under that fingerprint, as ``read`` makes it, unless it is too old or of another shape."""
    entry = _read().get(f"{kind} {fingerprint}")
    if entry is None or (not entry["for_good"] and not 0 <= time.time() - entry["at"] < FAILURES_FOR):
        return None
    try:
        return read(entry["value"])
    except (AttributeError, LookupError, TypeError, ValueError):
        return None


def keep(kind: str, fingerprint: str, value: dict[str, Any], for_good: bool = True) -> None:
    """Keep it; nothing happens where the home cannot be written, and it is found out again."""
    entries = _read() | {f"{kind} {fingerprint}": {"value": value, "at": time.time(), "for_good": for_good}}
    newest = dict(sorted(entries.items(), key=lambda item: -item[1]["at"])[:MOST])
    partial = home() / f"gpus.{os.getpid()}.json"
    try:
        private_folder(home())
        with open(partial, "w", opener=owner_only) as file:
            json.dump(newest, file, indent=1)
        partial.replace(home() / "gpus.json")
    except OSError:
        with suppress(OSError):  # nor can what it has left be removed
            partial.unlink(missing_ok=True)


def _read() -> dict[str, Any]:
    try:
        entries = json.loads((home() / "gpus.json").read_text())
    except (OSError, ValueError, RecursionError):  # none yet, or half of one
        return {}
    return {key: entry for key, entry in entries.items() if _fits(entry)} if isinstance(entries, dict) else {}


def _fits(entry: object) -> bool:
    return (isinstance(entry, dict) and isinstance(entry.get("value"), dict) and isinstance(entry.get("at"), (int, float))
            and isinstance(entry.get("for_good"), bool))
