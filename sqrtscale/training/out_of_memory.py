"""Whether an error says that memory ran out. Without torch at import."""

from __future__ import annotations

from collections.abc import Iterator

NO_MEMORY = (
    "out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory",
    "alloc_failed", "allocation_failed",  # of cuBLAS, cuDNN and their like
)
NO_HANDLE = "cublas_status_not_initialized when calling `cublascreate"  # for lack of memory, or on a GPU that has failed
HANDLE_BYTES = 2**28  # more than a handle of cuBLAS takes


def is_out_of_memory(error: BaseException) -> bool:
    """True where an allocation failed, on a GPU or in main memory; torch says so in the text of a RuntimeError."""
    return any(isinstance(cause, MemoryError) or any(words in str(cause).lower() for words in NO_MEMORY)
               or (NO_HANDLE in str(cause).lower() and _gpu_is_full()) for cause in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it was raised from: one in a user's code is told in other words."""
    while error is not None:
        yield error
        error = error.__cause__


def _gpu_is_full() -> bool:
    """Whether a GPU that this process has memory of still answers, and has next to nothing left."""
    import torch

    try:
        return any(torch.cuda.mem_get_info(index)[0] < HANDLE_BYTES
                   for index in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(index))
    except RuntimeError:
        return False
