"""The catalogue of tasks. To add one: a file in this folder that defines TASK. Importing this loads no torch."""

from __future__ import annotations

from ..rules import FieldError
from ._batch import Batch
from ._network import Network, Parameter
from ._task import SMALLEST, Data, Defaults, Metric, NoiseScale, Task
from .digits import TASK as _digits
from .pydoc import TASK as _pydoc

TASKS: dict[str, Task] = {about.name: about for about in (_digits, _pydoc)}


def task(name: object) -> Task:
    """The task of that name; raises FieldError for an unknown one."""
    about = TASKS.get(name) if isinstance(name, str) else None
    if about is None:
        raise FieldError("task", name, f"is not known: give one of {', '.join(TASKS)}")
    return about


__all__ = ["SMALLEST", "TASKS", "Batch", "Data", "Defaults", "Metric", "Network", "NoiseScale", "Parameter", "Task", "task"]
