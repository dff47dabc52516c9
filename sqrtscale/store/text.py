"""Text as every database and every spreadsheet takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet computes


def clean(text: str, longest: int | None = None) -> str:
    """``text`` without zero characters and halves of characters, cut to ``longest``."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:longest]


def as_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table for a CSV file: text that begins like a formula has a quotation mark before it, numbers stay numbers."""
    def cell(value: object) -> object:
        return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

    return table.assign(**{str(name): table[name].map(cell) for name in table.select_dtypes(["object", "str"])})
