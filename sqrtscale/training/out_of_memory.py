"""Whether an error says that memory ran out. Without torch: the process that starts a training asks too."""

from __future__ import annotations

NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """True where an allocation failed, on a GPU or in main memory; torch says so in the text of a RuntimeError."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)
