"""The catalogue of optimizer families. To add one: a file in this folder that defines FAMILIES."""

from __future__ import annotations

import importlib
import pkgutil

from ..errors import FieldError
from ._family import LIBRARIES, Family, Field
from ._underived import UNDERIVED, Underived

FAMILIES: dict[str, Family] = {
    listed.name: listed
    for module in pkgutil.iter_modules(__path__)
    if not module.name.startswith("_")
    for listed in importlib.import_module(f"{__name__}.{module.name}").FAMILIES
}


def family(name: object) -> Family:
    """The family of that name (case does not matter); raises FieldError for an unknown one.

    An optimizer whose rule nobody has derived is refused with what is known about it.
    """
    wanted = name.strip().lower() if isinstance(name, str) else ""
    if wanted in FAMILIES:
        return FAMILIES[wanted]
    if wanted in UNDERIVED:
        raise FieldError("optimizer", name, UNDERIVED[wanted].allowed)
    raise FieldError("optimizer", name, f"is not known: give one of {', '.join(FAMILIES)}")


__all__ = ["FAMILIES", "LIBRARIES", "UNDERIVED", "Family", "Field", "Underived", "family"]
