"""``sqrtscale tasks``: new, check, add, list, remove; and the file of a task in place of its name."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..rules import FieldError
from ..rules.errors import choice, real, whole
from ..tasks import TASKS, OwnTask, added, remember, task
from ..tasks.adapters import ADAPTERS, Adapter, adapter_of
from ..tasks.adapters.packages import file_of, packaged
from ..tasks.adapters.published import DATA_SETS, fetch
from ..tasks.own import add, compared, read_file, read_text, remove
from ..tasks.own.file import check_name
from ..tasks.own.registry import draft, keep_draft
from .shared import BadInput, number, table

if TYPE_CHECKING:
    from ..runner.own_tasks import Checked

PACKAGE = "package:"  # before the name of a task that an installed package offers
OPTION = "of adapters: "  # begins the names of their options among the parsed ones
SIGNS = {"good": "ok", "warning": "note", "bad": "no"}
CHANGES = {"same": "", "changed": " (changed since: add it again)", "gone": " (not there any more)"}
TEMPLATE = '''"""My network on my data.

The first line is the title of the task. What follows, up to the quotes, is shown below it.
"""

import torch
from torch import nn

SAMPLE = "row"  # what one sample is called
# MICRO = 32  # where samples of a batch depend on each other (batch norm, contrastive losses): batches are made of these
# PRECISION = "bf16"  # the loss is computed under bfloat16 autocast
# CHECKPOINT = "last.pt"  # weights and optimizer state of a run of yours, to branch from
# CONFIG = "training_args.json"  # its configuration, in any format that sqrtscale scale --from reads
# HIGHER_IS_BETTER = ["accuracy"]  # those of the metrics


def model():
    """A fresh module. torch, NumPy and random are seeded before: take initial weights from them, or load a file's."""
    return nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 1))


def data(split):
    """Of "train" or "validation": a tuple or dictionary of tensors, or anything with __len__ and __getitem__."""
    generator = torch.Generator().manual_seed(0 if split == "train" else 1)
    rows = torch.randn(4096 if split == "train" else 512, 8, generator=generator)
    noise = torch.randn(len(rows), generator=generator)
    return rows, rows[:, 0] * rows[:, 1] + torch.sin(3 * rows[:, 2]) + noise


# def collate(samples):
#     """Samples of a dataset as a batch; left out: torch's default_collate."""


def loss(model, batch):
    """A scalar: the mean over the batch, which is on the device already."""
    rows, targets = batch
    return nn.functional.mse_loss(model(rows).squeeze(1), targets)


# def GROUPS(model):
#     """Parameter groups, as torch's optimizers take them: lr or lr_factor, weight_decay and eps may differ."""


# def metrics(model, batch):
#     """More of what is measured on the validation data: names and means over the batch."""
#     return {"accuracy": ...}
'''


def add_commands(commands: argparse._SubParsersAction[Any]) -> None:
    """The actions of ``sqrtscale tasks``."""
    actions = commands.add_parser("tasks", help="your own training: model, data and loss in one file").add_subparsers(
        dest="action", required=True, metavar="ACTION")
    command = actions.add_parser("new", help="write a file that runs as it is, to be filled with your own")
    command.add_argument("file", metavar="FILE", help="a Python file that does not exist yet")
    command.set_defaults(run=run_new)
    for name, run, does in (("check", run_check, "try a file out: is its loss a mean, does it repeat itself, how long is a step"),
                            ("add", run_add, "check a file and keep it under a name, for --task and the app")):
        command = actions.add_parser(name, help=does)
        made = [f"{adapter.kind}:{adapter.place} ({adapter.does})" for adapter in ADAPTERS.values()]
        command.add_argument("file", metavar="FILE", help="; ".join([
            "the Python file of the task", *made, f"{PACKAGE}NAME (what an installed package offers)"]))
        command.add_argument("--name", help="of the task (default: that of the file or folder, without its ending)")
        _add_limits(command)
        _add_options(command, ADAPTERS.values())
        command.set_defaults(run=run)
    command = actions.add_parser("get", help="a data set of the paper as a task: fetched, its hash checked, or from a folder")
    command.add_argument("data_set", metavar="DATA_SET", choices=DATA_SETS, help=", ".join(DATA_SETS))
    command.add_argument("--from", dest="source", metavar="FOLDER", help="where its files lie already; nothing is fetched then")
    command.add_argument("--name", help="of the task (default: that of the data set)")
    _add_limits(command)
    _add_options(command, [ADAPTERS[name] for name in DATA_SETS])
    command.set_defaults(run=run_get)
    command = actions.add_parser("list", help="the tasks that can be calibrated on this machine")
    command.add_argument("--json", action="store_true", help="print a JSON list")
    command.set_defaults(run=run_list)
    command = actions.add_parser("remove", help="forget a task that was added; its calibrations stay")
    command.add_argument("name", metavar="NAME", help="its name")
    command.set_defaults(run=run_remove)


def _add_limits(command: argparse.ArgumentParser) -> None:
    """What a check may take, and what it looks at."""
    command.add_argument("--target", type=number, metavar="N", help="target batch to time a step at (default: the task's)")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: auto)")
    command.add_argument("--timeout", type=number, default=300, metavar="S", help="seconds that it may take (default: 300)")
    command.add_argument("--memory", type=number, metavar="GB", help="gigabytes that it may allocate (default: four fifths "
                         "of what is free)")


def _add_options(command: argparse.ArgumentParser, adapters: Collection[Adapter]) -> None:
    """Those of the adapters; several may share one."""
    for option in dict.fromkeys(option for adapter in adapters for option in adapter.options):
        told = "; ".join(f"{adapter.kind}: {adapter.options[option]}" for adapter in adapters if option in adapter.options)
        command.add_argument(f"--{option}", dest=OPTION + option, metavar="VALUE", help=told)


def run_new(options: argparse.Namespace) -> int:
    """``sqrtscale tasks new``"""
    try:
        with Path(options.file).open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except OSError as error:
        raise BadInput(f"FILE = {options.file!r} cannot be written: {error.strerror}; give a new file") from error
    print(f"{options.file} is written and runs as it is: sqrtscale tasks check {options.file}")
    return 0


def run_check(options: argparse.Namespace) -> int:
    """``sqrtscale tasks check``"""
    with _task_file(options) as path:
        checked = _checked(path, options)
    _print(checked)
    return 0 if checked.file.usable else 1


def run_add(options: argparse.Namespace) -> int:
    """``sqrtscale tasks add``"""
    name = _free_name(options)
    with _task_file(options) as path:
        checked = _checked(path, options)
    _print(checked)
    if not checked.file.usable:
        print(f"{name} is not added: correct {options.file} first", file=sys.stderr)
        return 1
    file = checked.file
    if adapter_of(options.file):
        file = keep_draft(file)
        print(f"{file.path} is written: change a copy of it as you like")
    add(file)
    print(f"{name} is added: sqrtscale calibrate --task {name}")
    return 0


def run_get(options: argparse.Namespace) -> int:
    """``sqrtscale tasks get``"""
    name, data_set = options.data_set, DATA_SETS[options.data_set]
    given = argparse.Namespace(**vars(options) | {"name": options.name or name})
    ADAPTERS[name].check(_adapter_options(options))  # all that can be wrong, before anything is fetched
    _free_name(given)
    _limits(options)
    size = choice("size", getattr(options, f"{OPTION}size") or "tiny", data_set.archives)
    archive = data_set.archives[size]
    folder = options.source
    if folder is None:
        if not archive.unpacked:
            print(f"fetching {archive.name} ({archive.size / 1e6:.0f} MB)", file=sys.stderr)
        folder = fetch(archive, _Tenths())
    given.file = f"{name}:{folder}"
    code = run_add(given)
    if code == 0:
        print(f"{data_set.says} (docs/paper_tasks.md):")
        for settings in data_set.settings[size]:
            print(f"sqrtscale calibrate --task {given.name} {settings}")
    return code


class _Tenths:
    """Prints how much of a download has come, at every tenth."""

    def __init__(self) -> None:
        self.told = 0

    def __call__(self, share: float) -> None:
        if (tenths := int(10 * share)) > self.told:
            self.told = tenths
            print(f"{10 * tenths} %", file=sys.stderr)


def _name(options: argparse.Namespace) -> str:
    """Of the task: as given, or that of its file or data."""
    if options.name is not None:
        return check_name(options.name)
    made = adapter_of(options.file)
    place = made[1] if made else options.file.removeprefix(PACKAGE)
    return check_name(Path(place).absolute().stem)


def _free_name(options: argparse.Namespace) -> str:
    """Of a task that is to be added."""
    name = _name(options)
    if name in TASKS:
        raise FieldError("name", name, "is a built-in task: give another one with --name")
    return name


def _adapter_options(options: argparse.Namespace) -> dict[str, str]:
    """Those of adapters that were given."""
    return {name.removeprefix(OPTION): value for name, value in vars(options).items()
            if name.startswith(OPTION) and value is not None}


@contextmanager
def _task_file(options: argparse.Namespace) -> Iterator[Path]:
    """The task's file: the user's own, or a draft that an adapter has written."""
    values = _adapter_options(options)
    made = adapter_of(options.file)
    if made is None:
        for option, value in values.items():
            raise FieldError(f"--{option}", value, "is not read for a Python file: change its text")
        yield file_of(options.file.removeprefix(PACKAGE)) if options.file.startswith(PACKAGE) else Path(options.file)
        return
    adapter, place = made
    with draft(_name(options), adapter.text(place, values)) as path:
        yield path


def _checked(path: Path, options: argparse.Namespace) -> Checked:
    from ..runner.device import occupied
    from ..runner.own_tasks import check_file

    limits = _limits(options)._asdict()
    return check_file(path, _name(options), device=occupied(options.device)[0], **limits)


class _Limits(NamedTuple):
    """Of a check, by the names that ``check_file`` has. memory: bytes."""

    seconds: float
    memory: int | None
    target: int | None


def _limits(options: argparse.Namespace) -> _Limits:
    """As they were given; raises FieldError for what cannot be one."""
    seconds = _within("timeout", options.timeout, 1, 1e6, "is not allowed: give from 1 to 1e+06 seconds, for example 300")
    gigabytes = None if options.memory is None else _within(
        "memory", options.memory, 0.1, 1e6, "is not allowed: give from 0.1 to 1e+06 gigabytes, for example 8")
    target = None if options.target is None else whole("target", options.target, 1, 128)
    return _Limits(seconds, None if gigabytes is None else int(1e9 * gigabytes), target)


def _within(name: str, value: object, least: float, most: float, allowed: str) -> float:
    """``value`` as a number in [least, most]; raises FieldError."""
    quantity = real(name, value, allowed)
    if not least <= quantity <= most:
        raise FieldError(name, value, allowed)
    return quantity


def _print(checked: Checked) -> None:
    """Its sentences; what the user's code printed to standard error."""
    if checked.log:
        print(checked.log.rstrip(), file=sys.stderr)
    for finding in checked.file.findings:
        print(f"{SIGNS[finding.level]:<4} {finding.text}")


def run_list(options: argparse.Namespace) -> int:
    """``sqrtscale tasks list``"""
    files = added()
    if options.json:
        print(json.dumps([{"name": file.name, "path": file.path, "sha256": file.sha256, "title": remember(file).title}
                          for file in files.values()], indent=2))
        return 0
    rows = [("name", "title", "file")]
    rows += [(about.name, about.title, "built in") for about in TASKS.values()]
    rows += [(name, remember(file).title, file.path + CHANGES[compared(file)]) for name, file in files.items()]
    paths = {file.path for file in files.values()}
    rows += [row for name in packaged() if (row := _offered(name))[2] not in paths]
    print("\n".join(table(rows)))
    return 0


def _offered(name: str) -> tuple[str, str, str]:
    """The line of a package's task that is not added; its file is read, never run."""
    try:
        path = file_of(name)
        return PACKAGE + name, read_text(read_file(path), str(path)).title, str(path)
    except FieldError as error:
        return PACKAGE + name, str(error), ""


def run_remove(options: argparse.Namespace) -> int:
    """``sqrtscale tasks remove``"""
    remove(options.name)
    print(f"{options.name} is forgotten; its calibrations stay")
    return 0


def named(option: str, device: str, checkpoint: str | None = None) -> str:
    """What a plan calls the task of an option: a name as it is, a file by the task that was made of it, tried out on a device.

    A file is checked where the same text was not added, and with another checkpoint than its own. Raises BadInput for one that
    cannot be calibrated, and for a task whose file has changed since it was added.
    """
    file = None
    if not option.endswith(".py"):
        file = added().get(option)
        if checkpoint is not None and file is None:
            raise BadInput(f"--checkpoint = {checkpoint!r} needs a task of your own, whose model it holds: give its file")
        if file is not None and compared(file) == "changed":
            raise BadInput(f"--task = {option!r} has changed since it was added: "
                           f"sqrtscale tasks add {file.path} --name {option} takes the new version")
        if checkpoint is None:
            return option
    path = Path(option if file is None else file.path)
    text = read_file(path)
    read_text(text, str(path))
    same = [known for known in added().values() if known.text == text and known.path == str(path.absolute())]
    if same and checkpoint is None:
        return remember(same[0], renew=True).name
    file = file or (same[0] if same else None)
    from ..runner.device import occupied
    from ..runner.own_tasks import check_file

    print(f"checking {path}", file=sys.stderr)
    checked = check_file(path, None if file is None else file.name, device=occupied(device)[0],
                         checkpoint=None if checkpoint is None else Path(checkpoint))
    bad = [finding.text for finding in checked.file.findings if finding.level == "bad"]
    if bad:
        if checked.log:
            print(checked.log.rstrip(), file=sys.stderr)
        raise BadInput(f"--task = {option!r} cannot be calibrated: {bad[0]}")
    return remember(checked.file, renew=True).name


def start_of(options: argparse.Namespace, name: str) -> Any:
    """Where the arms branch: as asked, else from the checkpoint of the task where it has one. Says what is taken from files.

    Raises BadInput where it asks for something else than its checkpoint, and where nothing says at which batch that was trained.
    """
    about = task(name)
    facts = about.file.facts if isinstance(about, OwnTask) else None
    start = options.start or ("checkpoint" if facts and facts.checkpoint else "warm")
    if options.checkpoint is not None and start != "checkpoint":
        raise BadInput(f"--checkpoint and --start {start} are two starts: leave one out")
    if facts and facts.configuration:
        print(f"the base configuration is that of {facts.configuration.source}, where no option says otherwise", file=sys.stderr)
        if start == "checkpoint" and options.batch is None and not facts.configuration.batch_known:
            raise BadInput("--batch is needed: the checkpoint does not say at which global batch it was trained")
    return start
