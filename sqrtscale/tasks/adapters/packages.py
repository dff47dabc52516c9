"""Tasks of installed packages: those that name a module in the entry-point group ``sqrtscale.tasks``.

The module is the task's file. Neither it nor the packages around it are imported here.
"""

from __future__ import annotations

from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from ...rules import FieldError

GROUP = "sqrtscale.tasks"


def packaged() -> dict[str, EntryPoint]:
    """Name -> the entry point of every task that an installed package offers; the first package of a name counts."""
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        points.setdefault(point.name, point)
    return dict(sorted(points.items()))


def file_of(name: str) -> Path:
    """The file of a package's task. Raises FieldError where there is no such task, or its module is no Python file."""
    points = packaged()
    if name not in points:
        known = f"give one of {', '.join(points)}" if points else f"no installed package has an entry point in {GROUP}"
        raise FieldError("task", f"package:{name}", f"is not there: {known}")
    point = points[name]
    if point.attr:
        raise FieldError("entry point", f"{name} = {point.value}", f"names an attribute: let it name the module, {point.module}")
    path = _module_file(point.module)
    if path is None:
        raise FieldError("entry point", f"{name} = {point.value}", "names no module of Python source that is installed: correct "
                                                                   "it in the package")
    return path


def _module_file(module: str) -> Path | None:
    """Where the source of a module lies; each package on the way is looked up in the folders of the one around it."""
    top, *inner = module.split(".")
    try:
        spec = find_spec(top)
        for depth in range(len(inner)):
            if spec is None:
                return None
            spec = PathFinder.find_spec(".".join([top, *inner[: depth + 1]]), list(spec.submodule_search_locations or ()))
    except (ImportError, ValueError):  # ValueError: loaded without a spec, as __main__ is
        return None
    path = Path(spec.origin) if spec is not None and spec.origin else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None
