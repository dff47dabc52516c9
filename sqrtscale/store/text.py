"""Text as every database takes it."""

from __future__ import annotations


def clean(text: str, longest: int | None = None) -> str:
    """``text`` without zero characters and halves of characters, cut to ``longest``."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:longest]
