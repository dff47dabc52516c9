"""Files of the safetensors format, read without its library: a JSON table of names, types, shapes and offsets, then the bytes.

The form is its documentation's: 8 bytes with the length of the table, the table, the numbers of the tensors one behind the other.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .reading import refusal

LARGEST_TABLE = 100 * 2**20  # bytes
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
         "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}
DAMAGED = "is no safetensors file, or a damaged one: give it as it was saved"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU; the numbers stay in the file until they are used. Raises FieldError."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, LARGEST_TABLE):
                raise refusal(path, DAMAGED)
            table = json.loads(file.read(length))
        held = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)[8 + length :]
        return {name: _tensor(held, entry) for name, entry in table.items() if name != "__metadata__"}
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror or error}") from error
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:  # a FieldError among them
        raise refusal(path, DAMAGED) from error


def _tensor(held: Tensor, entry: dict[str, Any]) -> Tensor:
    """One entry of the table; raises ValueError where its bytes are not those of its shape."""
    dtype, shape = TYPES[entry["dtype"]], tuple(map(int, entry["shape"]))
    first, end = map(int, entry["data_offsets"])
    if min(shape, default=0) < 0 or not 0 <= first <= end <= len(held) or end - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(entry)
    piece = held[first:end]
    aligned = piece.storage_offset() % dtype.itemsize == 0
    return (piece if aligned else piece.clone()).view(dtype).view(shape)
