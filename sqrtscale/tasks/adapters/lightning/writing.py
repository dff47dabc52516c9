"""The text of a task of a LightningModule. The user's file is read, and not run."""

from __future__ import annotations

import ast
from pathlib import Path

from ....rules import FieldError
from ...own.reading import read_file
from ..adapter import Adapter, Options, described, whole_option
from ..files import fingerprint

TEXT = '''
from sqrtscale.tasks.adapters.lightning import Lightning

SAMPLE = "sample"
{micro}HIGHER_IS_BETTER = ["acc", "accuracy", "auc", "auroc", "f1", "iou", "precision", "recall", "top1", "top5"]
TASK = Lightning({file!r},
                 module={module!r}, data_module={data!r}, contents={contents!r})


def model():
    return TASK.model()


def data(split):
    return TASK.data(split)


def collate(samples):
    return TASK.collate(samples)


def loss(model, batch):
    return TASK.loss(model, batch)


def metrics(model, batch):
    return TASK.metrics(model, batch)


def configuration(model):
    return TASK.configuration(model)
'''


def write(place: str, options: Options) -> str:
    """The text of a task of that file's classes."""
    path = Path(place).expanduser().absolute()
    names = _names(read_file(path), place)
    for option, base in (("module", "LightningModule"), ("data", "LightningDataModule")):
        if option not in options:
            raise FieldError(option, None, f"is missing: give --{option} with the name of the {base} in {path.name}")
        if options[option] not in names:
            raise FieldError(option, options[option], f"is no class in {path.name}: " + (
                f"give one of {', '.join(names)}" if names else f"give the file that has the {base}"))
    module, data = options["module"], options["data"]
    micro = f"MICRO = {whole_option(options, 'micro', 1, 32, 2**20)}\n" if "micro" in options else ""
    return described(f"{module} on {data}", f"The LightningModule and LightningDataModule of {path.name}.") + TEXT.format(
        micro=micro, file=str(path), module=module, data=data, contents=fingerprint(path.parent, [path]))


def _names(text: str, place: str) -> list[str]:
    """The classes that a file defines, then the names that it imports."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise FieldError("FILE", place, f"is no Python{line}: correct it") from error
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    return classes + [alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]


ADAPTER = Adapter("lightning", "FILE.py", "a LightningModule with its DataModule", write, {
    "module": "name of the LightningModule in the file",
    "data": "name of its LightningDataModule",
    "micro": "samples of a micro-batch, where those of a batch depend on each other, as with batch norm",
})
