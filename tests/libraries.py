"""Real libraries for the tests: each imported in its turn, or the test says what is missing (in CI that fails)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType

from databases import missing

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded


def library(name: str) -> ModuleType:
    """The module of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        return missing(f"{error.name} (requirements-test.txt)")


def part_of(package: str, module: str, **instead: str) -> ModuleType:
    """One module of a package whose own __init__ cannot run here: timm wants torchvision, Composer its whole trainer.

    Empty packages stand in for those above it, so its relative imports work; ``instead`` names further modules of the
    package that it imports and does not use here, each with the one name that it takes from there.
    """
    found = importlib.util.find_spec(package) if package not in sys.modules else sys.modules[package].__spec__
    if found is None:
        return missing(f"{package} (scripts/test installs it without what it depends on)")
    above = [package, *(f"{package}.{part}" for part in module.split(".")[:-1])]
    for name in (*above, *(f"{package}.{part}" for part in instead)):
        if name not in sys.modules:
            sys.modules[name] = ModuleType(name)
            inner = name.split(".")[1:]
            sys.modules[name].__path__ = ["/".join([folder, *inner]) for folder in found.submodule_search_locations]
            sys.modules[name].__spec__ = found
            parent, _, last = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], last, sys.modules[name])
    for part, taken in instead.items():
        setattr(sys.modules[f"{package}.{part}"], taken, None)
    return importlib.import_module(f"{package}.{module}")
