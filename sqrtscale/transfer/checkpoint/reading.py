"""Files that torch.save wrote, read without running anything in them, within limits that follow from the size of the file."""

from __future__ import annotations

import re
import resource
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...rules import FieldError

MEBIBYTE = 2**20
# All but the tensors' values is read by Python, slowly and into many small objects: 8 MiB are seconds, and 0.5 GB at most.
LARGEST_PICKLE, PICKLE_SHARE = 8 * MEBIBYTE, 64  # bytes, or this part of the file where that is more
MOST_TENSORS = 10**6  # a mixture of experts of 10^12 weights has some 10^5
MOST_ITEMS = 5 * 10**6
DEPTH = 64  # containers in containers; the loops in a Lightning checkpoint are nested 8 deep
# Address space: beside what torch has mapped once it is loaded: the file, the second moments made anew, and copies while writing.
MEMORY, MEMORY_SHARE = 512 * MEBIBYTE, 3
SECONDS, BYTES_PER_SECOND = 20, 20 * 10**6  # of the processor, whose work on a real file is ten times faster
STATES = ("save state_dict() in place of an optimizer or a model, and numbers and text in place of other objects, for example "
          "vars(args); or move the live optimizer with sqrtscale.transfer_optimizer_")
REMEDY = "save optimizer.state_dict() by itself, or move the live optimizer with sqrtscale.transfer_optimizer_"
TOO_LARGE = f"needs more memory than there is, or than a checkpoint of its size may take: {REMEDY}"
DAMAGED = "is no PyTorch checkpoint, or a damaged one: give a file that torch.save wrote"
NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory")

Place = tuple[Any, ...]  # the keys and indices that lead to something in a file


def read(path: str | Path) -> Any:
    """The content of a .pt file, on the CPU: tensors, numbers, text and containers of them alone (torch's weights_only).

    A pickle can run any code when it is loaded; this one never does: a file that needs more is refused by FieldError, as is
    one that cannot be read, is no checkpoint, or would become much larger than it is. Tensors stay in the file until they
    are used, so a large one needs little memory.
    """
    try:
        size = _size(path)
        archive = _check_archive(path, size)
        with warnings.catch_warnings(action="ignore"):  # torch remarks on the pickle's protocol; what matters is an error
            content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=archive)
        _check_content(path, content, size)
    except FieldError:
        raise
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what broken bytes raise has no common class
        if is_out_of_memory(error):
            raise refusal(path, TOO_LARGE) from error
        needed = re.search(r"GLOBAL ([\w.]+)", str(error)) or re.search(r"``([\w.]+)`` must be imported", str(error))
        reason = (
            f"needs {needed[1][:80]}, and loading it would run code from the file, which is never done: {STATES}"
            if needed
            else DAMAGED
        )
        raise refusal(path, reason) from error
    return content


def refusal(path: str | Path, reason: str) -> FieldError:
    """The error for a file that cannot be used."""
    return FieldError("checkpoint", str(path), reason)


def is_out_of_memory(error: BaseException) -> bool:
    """True where an allocation failed; torch says so in the text of a RuntimeError."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)


def limit_resources(*paths: str | Path) -> None:
    """Bind this process to the memory and the processor's time that reading these files and writing their copies can need.

    What torch has taken already depends on its build, so the limits are set above what is in use. A process over them gets a
    MemoryError, or is ended by the system: whoever started it must say so.
    """
    torch.set_num_threads(1)  # every thread maps memory of its own, and the disk is slower than one
    size = sum(_size(path) for path in paths)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + SECONDS + size // BYTES_PER_SECOND)
    _lower_limit(resource.RLIMIT_CORE, 0)
    in_use = Path("/proc/self/statm")
    if in_use.exists():  # Linux; elsewhere the system does not hold a process to this limit
        mapped = int(in_use.read_text().split()[0]) * resource.getpagesize()
        _lower_limit(resource.RLIMIT_AS, mapped + MEMORY + MEMORY_SHARE * size)


def _lower_limit(kind: int, limit: int) -> None:
    """Set a limit of this process, below the one that it has."""
    soft, hard = resource.getrlimit(kind)
    set_already = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min([limit, *set_already]), hard))


def walk(content: Any, descend: Callable[[Any], bool] = lambda value: True) -> Iterator[tuple[Place, Any]]:
    """The content, and every filled container and tensor in it with its place; each once, however often it is referred to.

    descend: whether to go on into a container.
    """
    seen: set[int] = set()

    def children(place: Place, value: Any) -> Iterator[tuple[Place, Any]]:
        if isinstance(value, (dict, list, tuple)) and descend(value):
            for key, child in value.items() if isinstance(value, dict) else enumerate(value):
                filled = isinstance(child, Tensor) or (isinstance(child, (dict, list, tuple)) and len(child) > 0)
                if filled and id(child) not in seen:
                    seen.add(id(child))
                    yield (*place, key), child

    yield (), content
    stack = [children((), content)]
    while stack:
        for place, child in stack[-1]:
            yield place, child
            stack.append(children(place, child))
            break
        else:
            stack.pop()


def place_text(place: Place) -> str:
    """A place as people write it: ``optimizer_states.0``."""
    return ".".join(str(key)[:80] if isinstance(key, (str, int)) else f"<{type(key).__name__}>" for key in place)


def _size(path: str | Path) -> int:
    """The size of a regular file in bytes: reading anything else may never end. Raises FieldError."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        raise refusal(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise refusal(path, "is no file: give one that torch.save wrote")
    return status.st_size


def _check_archive(path: str | Path, size: int) -> bool:
    """Whether the file is an archive, as torch writes since 1.6; raises FieldError for one that holds more than it is."""
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise refusal(path, "is a compressed archive, which torch.save does not write: give the file as it was saved")
    if len(members) > MOST_TENSORS or sum(member.file_size for member in members) > size:
        raise refusal(path, "says of itself that it holds more than it does: give a file that torch.save wrote")
    largest = max(LARGEST_PICKLE, size // PICKLE_SHARE)
    if any(member.filename.endswith(".pkl") and member.file_size > largest for member in members):
        raise refusal(path, f"holds more than {largest // MEBIBYTE} MiB beside the numbers of its tensors: {REMEDY}")
    return True


def _check_content(path: str | Path, content: Any, size: int) -> None:
    """Raises FieldError where the content is nested too deep, or is larger than the file that it came from."""
    items, storages = 0, {}
    for place, value in walk(content):
        if len(place) > DEPTH:
            raise refusal(path, f"is nested more than {DEPTH} deep: {REMEDY}")
        if isinstance(value, Tensor):
            if value.layout == torch.strided and not value.is_meta and not value.is_nested:
                storage = value.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, (dict, list, tuple)):
            items += len(value)
        if items > MOST_ITEMS:
            raise refusal(path, f"holds more than {MOST_ITEMS} values beside its tensors: {REMEDY}")
    if sum(storages.values()) > size:
        raise refusal(path, "holds tensors that are larger than the file: give a file that torch.save wrote")
