"""``${a.b}``: a value that stands elsewhere in the file, as OmegaConf (Hydra, torchtune, llm-foundry, NeMo) writes it."""

from __future__ import annotations

import re

from ._document import Document, Path

_REFERENCE = re.compile(r"\$\{([\w.-]{1,200})\}")
MOST_HOPS = 10


def followed(document: Document, path: Path) -> Path:
    """Where the value of a path stands: at the end of the references on the way to it, or the path itself."""
    for _ in range(MOST_HOPS):
        step = _next(document, path)
        if step is None:
            break
        path = step
    return path


def _next(document: Document, path: Path) -> Path | None:
    for end in range(1, len(path) + 1):
        value = document.get(path[:end])
        reference = _REFERENCE.fullmatch(value.strip()) if isinstance(value, str) else None
        if reference:
            target = tuple(int(key) if key.isdecimal() else key for key in reference[1].split("."))
            return (*target, *path[end:]) if document.has(target) else None
    return None
