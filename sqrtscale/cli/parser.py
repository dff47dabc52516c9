"""The commands and their options, every one with help."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from ..arms import KINDS
from ..plan import MOST_SEEDS, STARTS
from ..schedules import CONSTANT
from ..schedules import KINDS as SCHEDULES
from ..tasks import SMALLEST, TASKS
from . import checkpoint, compare, configuration, judge, lab, lab_runs, scale, stages, store, tasks
from .app import run_app
from .calibrate import run_calibrate
from .doctor import run_doctor
from .runs import (
    run_cancel,
    run_delete,
    run_export,
    run_list,
    run_restore,
    run_resume,
    run_resume_after_restart,
    run_show,
    run_tag,
)
from .shared import BadInput, number

SIZES = ", ".join(dict.fromkeys(size for about in TASKS.values() for size in about.sizes))


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and takes options by their full names only."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)
        # Else argparse takes -1e-3 and -inf for options, and the field's own check never sees them.
        self._negative_number_matcher = re.compile(r"-\.?\d|-(inf|nan)", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message} (see {self.prog} --help)")


def utf8(value: str) -> str:
    """Text that a database can hold: UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not UTF-8 text") from error
    return value


def build_parser() -> Parser:
    """All commands with their options."""
    parser = Parser(prog="sqrtscale", description="Carry Adam, AdamW and RMSprop settings to another batch size by the "
                    "square-root scaling rule (Malladi et al. 2022), and measure whether it worked.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("scale", help="scale a configuration to another batch size")
    scale.add_scale(command)
    command.set_defaults(run=scale.run_scale)

    command = commands.add_parser("check", help="exit with 1 where the rule is out of its range, for scripts")
    scale.add_check(command)
    command.set_defaults(run=scale.run_check)

    command = commands.add_parser("stages", help="a batch that changes during the run: the configuration of every stage")
    configuration.add_arguments(command)
    stages.add_arguments(command)
    configuration.add_decay_forms(command)
    command.set_defaults(run=stages.run_stages)

    command = commands.add_parser("transfer-checkpoint", help="move the optimizer in a checkpoint to another batch size")
    checkpoint.add_arguments(command)
    command.set_defaults(run=checkpoint.run_transfer_checkpoint)

    command = commands.add_parser("calibrate", help="train base, scaled and control arms and store the curves")
    command.add_argument("--task", required=True, metavar="TASK", help=f"what to train: {', '.join(TASKS)}, the name "
                         "of a task that was added, or its file, ./my_task.py (docs/own_tasks.md)")
    command.add_argument("--size", default=SMALLEST, metavar="SIZE", help=f"of the model: {SIZES} "
                         f"(default: {SMALLEST}; the defaults were tested with it)")
    command.add_argument("--target", type=number, metavar="N", help="target global batch size (default: as many times "
                         "the base batch size as the task's)")
    command.add_argument("--seeds", type=number, metavar="N", help=f"seeds per arm, 1 to {MOST_SEEDS} (default: the task's)")
    command.add_argument("--samples", type=number, metavar="N", help="samples per run after the branch point")
    command.add_argument("--evaluations", type=number, metavar="N", help="how many times each run is measured after the branch "
                         "point (default: the task's)")
    command.add_argument("--start", metavar="|".join(STARTS), help="warm: branch every arm from one warm start; scratch: from "
                         "initial weights; checkpoint: from your own run (default: checkpoint where there is one, else warm)")
    command.add_argument("--checkpoint", metavar="PATH", help="a file or folder with weights and optimizer state of your own "
                         "run, for a task of your own: the arms branch from it (docs/own_tasks.md)")
    command.add_argument("--warm-samples", type=number, metavar="N", help="samples of the warm start")
    command.add_argument("--schedule", default=str(CONSTANT), metavar="KIND[:SETTINGS]", help="learning rate after the branch "
                         f"point, over samples seen, the same in every arm: {', '.join(SCHEDULES)}; with settings for example "
                         "cosine:0.1, wsd:0.2,1-sqrt or milestones:0.5,0.75,gamma=0.3 (default: constant)")
    command.add_argument("--targets", type=number, nargs="+", default=[], metavar="N", help="more target batches for the full "
                         "rule, each an arm (scaled 2x, scaled 1/2x ...): how far it goes, in one calibration")
    kinds = ", ".join(name for name in KINDS if name not in ("base", "scaled"))
    command.add_argument("--arms", nargs="+", metavar="ARM", help="what competes beside base and "
                         f"scaled, names with spaces in quotes: {kinds}; 'own: lr=1e-3 beta2=0.99' for "
                         "other values, the rest as in scaled; 'unscaled 2x' for an arm at another kappa (default: unscaled "
                         "and linear lr; for SGD, whose rule that is, sqrt lr)")
    command.add_argument("--no-reuse", action="store_true", help="train also what is stored already, run for run the same")
    command.add_argument("--stop-early", action=argparse.BooleanOptionalAction, help="train seeds in parts and leave out the "
                         "rest where every verdict is clear (default: on a CPU; a GPU trains all seeds at once)")
    command.add_argument("--go-on", action="store_true", help="train the arms also where the noise scale, measured after the "
                         "warm start, says that none of them can test the rule")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda:N, or several GPUs: all, or cuda:0,cuda:1 (default: "
                         "auto, the best GPU that works, or the CPU)")
    configuration.add_arguments(command, task=True)
    configuration.add_forms(command)
    command.add_argument("--name", type=utf8, default="", help="a name for lists")
    command.add_argument("--resume-after-restart", action="store_true", help="where a restart of the machine interrupts it, it "
                         "goes on by itself when the app is opened, or a command looks at the queue, runs list for example "
                         "(docs/reliability.md)")
    command.add_argument("--wait", action="store_true", help="show progress until the end, then the result; Ctrl-C stops "
                         "only the waiting")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_calibrate)

    tasks.add_commands(commands)

    command = commands.add_parser("judge", help="runs that were trained elsewhere, from their logs to a verdict")
    judge.add_arguments(command)
    command.set_defaults(run=judge.run_judge)

    runs = commands.add_parser("runs", help="stored calibrations").add_subparsers(dest="action", required=True, metavar="ACTION")
    command = runs.add_parser("list", help="list calibrations, newest first")
    command.add_argument("--text", type=utf8, default="", help="only those with it in name, note, task, optimizer, verdict, tag "
                         "or id")
    command.add_argument("--tag", type=utf8, action="append", default=[], metavar="TAG", help="only those with this tag; given "
                         "several times, with all of them")
    command.add_argument("--deleted", action="store_true", help="the deleted ones instead")
    command.add_argument("--json", action="store_true", help="print a JSON list")
    command.set_defaults(run=run_list)
    for name, action, does in (("show", run_show, "show one calibration"), ("cancel", run_cancel, "end a calibration"),
                               ("resume", run_resume, "go on with one that has ended before it was done"),
                               ("delete", run_delete, "put a calibration away (restore brings it back)"),
                               ("restore", run_restore, "bring a deleted calibration back")):
        command = runs.add_parser(name, help=does)
        command.add_argument("id", metavar="ID", nargs="?" if name == "resume" else None, help="its id, or the first characters "
                             "of it")
        command.set_defaults(run=action)
        if name == "show":
            command.add_argument("--json", action="store_true", help="print one JSON object")
        elif name == "resume":
            command.add_argument("--interrupted", action="store_true", help="in place of an id: all that a restart of the "
                                 "machine has interrupted and that go on by themselves (calibrate --resume-after-restart)")
    command = runs.add_parser("resume-after-restart", help="let a calibration go on by itself where a restart interrupts it")
    command.add_argument("id", metavar="ID", help="its id, or the first characters of it")
    command.add_argument("--off", action="store_true", help="let it not")
    command.set_defaults(run=run_resume_after_restart)
    command = runs.add_parser("compare", help="a line for each of several calibrations, and what differs between them")
    compare.add_arguments(command)
    command.set_defaults(run=compare.run_compare)
    command = runs.add_parser("tag", help="hang tags on a calibration, or take them off")
    command.add_argument("id", metavar="ID", help="its id, or the first characters of it")
    command.add_argument("tags", type=utf8, nargs="+", metavar="TAG", help="a word or a few, in quotes where there are blanks")
    command.add_argument("--remove", action="store_true", help="take these tags off")
    command.set_defaults(run=run_tag)
    store.add_purge(runs.add_parser("purge", help="the same as store purge"))
    command = runs.add_parser("export", help="write out the curves and everything stored with them")
    command.add_argument("id", metavar="ID", help="its id, or the first characters of it")
    command.add_argument("--format", default="csv", metavar="csv|json|html|md", help="csv: curves; json: all; html, "
                         "md: a report to send (default: csv)")
    command.add_argument("--output", metavar="FILE", help="a file that does not exist yet (default: standard output)")
    command.set_defaults(run=run_export)

    store.add_commands(commands.add_parser("store", help="the database: check, backup, restore, purge")
                       .add_subparsers(dest="action", required=True, metavar="ACTION"))

    command = commands.add_parser("lab", help="how far an algorithm is from its SDE, and what breaks it: simulated, no training")
    lab.add_arguments(command)
    command.set_defaults(run=lab.run_lab)
    lab_runs.add_commands(command.add_subparsers(dest="action", metavar="[ACTION]", title="stored runs"))

    command = commands.add_parser("doctor", help="whether calibrations can run here, on which device, and what to do about it")
    command.add_argument("--quick", action="store_true", help="no estimates of whole calibrations, and on a machine without a "
                         "usable GPU no trial")
    command.add_argument("--json", action="store_true", help="print one JSON object, to send")
    command.set_defaults(run=run_doctor)

    command = commands.add_parser("app", help="start the app, and open it where there is a desktop")
    command.add_argument("--port", type=number, default=8501, help="port on this machine (default: 8501)")
    command.set_defaults(run=run_app)
    return parser
