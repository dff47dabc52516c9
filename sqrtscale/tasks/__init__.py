"""The catalogue of tasks. To add one: a file in this folder that defines TASK. Importing this loads no torch.

Those of the users' own stand beside them (``own``): by their name as they were added last, by name and hash for ever.
"""

from __future__ import annotations

from ..rules import FieldError
from ._batch import Batch
from ._network import Network, Parameter
from ._task import SMALLEST, Data, Defaults, Metric, NoiseScale, Task
from .digits import TASK as _digits
from .own import Checkpoint, OwnFile, OwnTask, OwnTaskError, added, known, remember, without_version
from .pydoc import TASK as _pydoc

TASKS: dict[str, Task] = {about.name: about for about in (_digits, _pydoc)}


def task(name: object) -> Task:
    """The task of that name; raises FieldError for an unknown one."""
    about = TASKS.get(name) or known(name) if isinstance(name, str) else None
    if about is None:
        raise FieldError("task", name, f"is not known: give one of {', '.join([*TASKS, *added()])}, or a file: "
                                       "sqrtscale tasks new my_task.py makes one")
    return about


def all_tasks() -> dict[str, Task]:
    """Name -> every task that can be calibrated on this machine: the built-in ones, then those that were added."""
    return TASKS | {name: remember(file, renew=True) for name, file in added().items() if file.usable}


def title_of(name: str) -> str:
    """What people read of a stored task: the title of a built-in one, the name of one of the users' own without its hash."""
    return TASKS[name].title if name in TASKS else without_version(name)


__all__ = ["SMALLEST", "TASKS", "Batch", "Checkpoint", "Data", "Defaults", "Metric", "Network", "NoiseScale", "OwnFile",
           "OwnTask", "OwnTaskError", "Parameter", "Task", "added", "all_tasks", "remember", "task", "title_of",
           "without_version"]
