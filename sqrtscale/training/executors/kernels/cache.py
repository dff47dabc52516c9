"""Where compiled kernels are kept between processes: in a folder named by a hash of the sources that they are made of.

numba notices a change of the file that holds the function Python calls, not of the files that this function calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

from .arithmetic import FAST

SETTINGS: Any = config  # its names are made when numba is loaded
FOLDER = Path(__file__).parent


def digest(folder: Path = FOLDER) -> str:
    """Of all sources in the folder: another one after any change."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))).hexdigest()[:16]


def entry(function: Callable[..., Any]) -> Any:
    """For what Python calls: other threads run meanwhile, and the result is kept on disk where there is a place for it."""
    options: dict[str, Any] = {"nogil": True, "fastmath": FAST, "error_model": "numpy"}
    try:
        usual, place = SETTINGS.CACHE_DIR, njit(cache=True, **options)(function).stats.cache_path
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(**options)(function)
    try:
        SETTINGS.CACHE_DIR = str(Path(place) / digest())
        return njit(cache=True, **options)(function)
    finally:
        SETTINGS.CACHE_DIR = usual


def is_kept(function: Any) -> bool:
    """Whether an earlier process has left the compiled function on the disk."""
    folder = function.stats.cache_path
    made = [path.stat().st_mtime for path in Path(folder).glob(f"*.{function.__name__}-*.nbi")] if folder else []
    return max(made, default=0.0) > Path(function.py_func.__code__.co_filename).stat().st_mtime
