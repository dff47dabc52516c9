"""The catalogue of optimizer families. To add one: a file in this folder that defines FAMILY."""

from __future__ import annotations

import importlib
import pkgutil

from ..errors import FieldError
from ._family import Family, Field

FAMILIES: dict[str, Family] = {
    found.FAMILY.name: found.FAMILY
    for found in (
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )
}


def family(name: object) -> Family:
    """The family of that name (case does not matter); raises FieldError for an unknown one."""
    found = FAMILIES.get(name.strip().lower()) if isinstance(name, str) else None
    if found is None:
        raise FieldError("optimizer", name, f"is not known: give one of {', '.join(FAMILIES)}")
    return found


__all__ = ["FAMILIES", "Family", "Field", "family"]
