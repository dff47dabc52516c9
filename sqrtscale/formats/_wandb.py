"""The config.yaml that Weights & Biases keeps of a run: every value wrapped as {desc, value}. Read as if it stood flat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ._document import Document, Path

OWN = ("wandb_version", "_wandb")


def unwrapped(document: Document) -> Document | None:
    """The document without the wrapping, or None where it is no such file. A new entry has no place in it."""
    data = document.data
    if not isinstance(data, dict) or not any(key in data for key in OWN):
        return None
    entries = {key: entry for key, entry in data.items() if key not in OWN}
    if not all(isinstance(entry, dict) and {"value"} <= entry.keys() <= {"value", "desc"} for entry in entries.values()):
        return None

    def inner(paths: Iterable[Path]) -> dict[Path, Path]:
        """Each path without its "value" -> the path as it stands in the text."""
        return {(path[0], *path[2:]): path for path in paths if len(path) > 1 and path[0] in entries and path[1] == "value"}

    spans, keys = inner(document.spans), inner(document.keys)
    return replace(
        document,
        data={key: entry["value"] for key, entry in entries.items()},
        spans={path: document.spans[place] for path, place in spans.items()},
        keys={path: document.keys[place] for path, place in keys.items()},
        flow=frozenset(inner(document.flow)),
        calls=frozenset(inner(document.calls)),
        shared=frozenset(inner(document.shared)),
        fixed=True,
    )
