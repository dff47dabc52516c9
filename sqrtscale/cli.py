"""The command line: scale a configuration, run a calibration, look after stored runs.

Exit codes: 0 done, 1 the job failed, 2 bad input (one line on standard error says what is allowed).
Everything heavy is imported inside the commands: ``sqrtscale scale`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .plan import ARMS, MOST_SEEDS, STARTS, WARM_START, make_plan
from .rules import DECAY_FORMS, FAMILIES, FieldError, ScaledConfig, TrainingConfig, family, scale
from .tasks import TASKS, task

if TYPE_CHECKING:
    from .store import CalibrationRecord, Store


class BadInput(Exception):
    """Something on the command line that cannot be used; its text is the one line to print."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message} (see {self.prog} --help)")


def number(text: str) -> float | str:
    """A number if it reads as one; other text is left for the field's own check to refuse by name."""
    try:
        value = float(text)
    except ValueError:
        return text
    return int(text) if text.strip().lstrip("+-").isdecimal() else value


def build_parser() -> Parser:
    """All commands with their options."""
    parser = Parser(prog="sqrtscale", description="Carry Adam, AdamW and RMSprop settings to another batch size by the "
                    "square-root scaling rule (Malladi et al. 2022), and measure whether it worked.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("scale", help="scale a configuration to another batch size")
    _configuration(command, required=True)
    command.add_argument("--target", type=number, required=True, metavar="N", help="target global batch size in samples")
    _decay_form(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_scale)

    command = commands.add_parser("calibrate", help="train base, scaled and control arms and store the curves")
    command.add_argument("--task", required=True, metavar="TASK", help=f"what to train: {', '.join(TASKS)}")
    command.add_argument("--target", type=number, metavar="N", help="target global batch size (default: the task's)")
    command.add_argument("--seeds", type=number, metavar="N", help=f"seeds per arm, 1 to {MOST_SEEDS} (default: the task's)")
    command.add_argument("--samples", type=number, metavar="N", help="samples per run after the branch point")
    command.add_argument("--start", default="warm", metavar="|".join(STARTS), help="warm: branch every arm from one "
                         "warm start; scratch: from initial weights (default: warm)")
    command.add_argument("--warm-samples", type=number, metavar="N", help="samples of the warm start")
    command.add_argument("--arms", nargs="+", default=list(ARMS), metavar="ARM",
                         help=f"base and scaled, and any controls: {', '.join(ARMS)} (default: all)")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    _configuration(command, required=False)
    _decay_form(command)
    command.add_argument("--name", default="", help="a name for lists")
    command.add_argument("--wait", action="store_true", help="show progress until the end, then the result; Ctrl-C stops "
                         "only the waiting")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_calibrate)

    runs = commands.add_parser("runs", help="stored calibrations").add_subparsers(dest="action", required=True, metavar="ACTION")
    command = runs.add_parser("list", help="list calibrations, newest first")
    command.add_argument("--text", default="", help="only those with this text in name, note, task, optimizer or id")
    command.add_argument("--deleted", action="store_true", help="the deleted ones instead")
    command.add_argument("--json", action="store_true", help="print a JSON list")
    command.set_defaults(run=run_list)
    for name, action, text in (("show", run_show, "show one calibration"), ("cancel", run_cancel, "end a calibration"),
                               ("delete", run_delete, "put a calibration away (restore brings it back)"),
                               ("restore", run_restore, "bring a deleted calibration back")):
        command = runs.add_parser(name, help=text)
        command.add_argument("id", metavar="ID", help="its id, or the first characters of it")
        command.set_defaults(run=action)
        if name == "show":
            command.add_argument("--json", action="store_true", help="print one JSON object")
    command = runs.add_parser("export", help="write out the curves and everything stored with them")
    command.add_argument("id", metavar="ID", help="its id, or the first characters of it")
    command.add_argument("--format", default="csv", metavar="csv|json", help="csv: curves; json: all (default: csv)")
    command.add_argument("--output", metavar="FILE", help="a file that does not exist yet (default: standard output)")
    command.set_defaults(run=run_export)

    command = commands.add_parser("app", help="open the app in a browser")
    command.add_argument("--port", type=number, default=8501, help="port on this machine (default: 8501)")
    command.set_defaults(run=run_app)
    return parser


def _configuration(command: Parser, required: bool) -> None:
    """The options of a base configuration; for calibrate they replace single values of the task's own."""
    default = "the library's default" if required else "the task's own"
    command.add_argument("--optimizer", required=required, metavar="NAME", help=", ".join(FAMILIES))
    command.add_argument("--lr", type=number, required=required, help="learning rate")
    command.add_argument("--betas", type=number, nargs=2, metavar=("BETA1", "BETA2"), help=f"Adam, AdamW (default: {default})")
    command.add_argument("--alpha", type=number, help=f"RMSprop's decay rate (default: {default})")
    command.add_argument("--eps", type=number, help=f"epsilon (default: {default})")
    command.add_argument("--weight-decay", type=number, help=f"decoupled in AdamW, L2 elsewhere (default: {default})")
    command.add_argument("--momentum", type=number, help=f"RMSprop (default: {default})")
    command.add_argument("--batch", type=number, required=required, metavar="N", help="base global batch size in samples")
    command.add_argument("--steps", type=number, metavar="N", help="total optimizer steps at the base batch")
    command.add_argument("--warmup", type=number, metavar="N", help="warm-up steps at the base batch")


def _decay_form(command: Parser) -> None:
    command.add_argument("--decay-form", default="linear", metavar="|".join(DECAY_FORMS),
                         help="betas by 1 - kappa (1 - beta), the paper's, or beta^kappa (default: linear)")


def _base(options: argparse.Namespace, start: TrainingConfig | None = None) -> TrainingConfig:
    """The base configuration that the options say, on top of ``start`` where they name no other optimizer."""
    name = options.optimizer if options.optimizer is not None else start.optimizer
    same = start is not None and family(name).name == start.optimizer
    values: dict[str, Any] = dict(start.hyperparameters) if same else {}
    given = {"lr": options.lr, "alpha": options.alpha, "eps": options.eps, "weight_decay": options.weight_decay,
             "momentum": options.momentum}
    if options.betas is not None:
        given["beta1"], given["beta2"] = options.betas
    values |= {field: value for field, value in given.items() if value is not None}
    batch = options.batch if options.batch is not None else start.batch_size
    return TrainingConfig(name, batch, values, options.steps, options.warmup)


# --- commands ------------------------------------------------------------------------------------


def run_scale(options: argparse.Namespace) -> int:
    """``sqrtscale scale``"""
    scaled = scale(_base(options), options.target, options.decay_form)
    print(json.dumps(scaled.as_dict(), indent=2) if options.json else scaled_text(scaled))
    return 0


def scaled_text(scaled: ScaledConfig) -> str:
    """The answer as a table with exact digits, then the warnings."""
    def digits(value: float | None) -> str:
        return "none" if value is None else f"{value:.8g}"

    rows = [("field", "base", "scaled", "formula", "status"),
            ("batch_size", str(scaled.base.batch_size), str(scaled.target_batch), "", "")]
    rows += [(row.name, digits(row.base), digits(row.scaled), row.formula, row.status) for row in scaled.fields]
    lines = [f"kappa = {scaled.kappa:.8g}", "", *table(rows)]
    return "\n".join(lines + [f"\nwarning: {warning}" for warning in scaled.warnings])


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def run_calibrate(options: argparse.Namespace) -> int:
    """``sqrtscale calibrate``"""
    from . import runner

    defaults = task(options.task).defaults
    plan = make_plan(
        options.task, _base(options, defaults.base), defaults.target_batch if options.target is None else options.target,
        arms=options.arms, seeds=options.seeds, samples=options.samples, start=options.start,
        warm_samples=options.warm_samples, decay_form=options.decay_form, device=options.device)
    with _store() as store:
        id = runner.submit(store, plan, options.name)
        if not options.wait:
            print(json.dumps({"id": id}) if options.json else f"{id} is queued: sqrtscale runs show {id}")
            return 0
        print(f"{id} is queued", file=sys.stderr)
        try:
            record = runner.wait(store, id, on_progress=_progress)
        except KeyboardInterrupt:
            print(f"\nstopped waiting, {id} goes on: sqrtscale runs show {id}, sqrtscale runs cancel {id}", file=sys.stderr)
            return 1
        print(file=sys.stderr)
        _print_record(store, record, options.json)
        return 0 if record.state == "DONE" else 1


def _progress(record: CalibrationRecord) -> None:
    speed = f", {record.samples_per_second:,.0f} samples/s" if record.samples_per_second else ""
    print(f"\r{record.state:<10} {record.progress:6.1%} {record.phase}{speed}   ", end="", file=sys.stderr, flush=True)


def run_list(options: argparse.Namespace) -> int:
    """``sqrtscale runs list``"""
    from .runner import reconcile
    from .store.export import plain

    with _store() as store:
        reconcile(store)
        found = store.list(deleted=options.deleted, text=options.text)
    if options.json:
        print(json.dumps([plain(vars(one)) for one in found], indent=2))
        return 0
    if not found:
        print("nothing stored yet: sqrtscale calibrate --task digits --wait")
        return 0
    rows = [("id", "state", "task", "optimizer", "batch", "seeds", "created (UTC)", "name")]
    rows += [(one.id, one.state, one.task, one.optimizer, f"{one.base_batch} -> {one.target_batch}", str(one.seeds),
              f"{one.created_at:%Y-%m-%d %H:%M}", one.name) for one in found]
    print("\n".join(table(rows)))
    return 0


def run_show(options: argparse.Namespace) -> int:
    """``sqrtscale runs show``"""
    from .runner import reconcile

    with _store() as store:
        reconcile(store)
        _print_record(store, _find(store, options.id), options.json)
    return 0


def _print_record(store: Store, record: CalibrationRecord, as_json: bool) -> None:
    from .store.export import record_json

    print(json.dumps(record_json(record), indent=2) if as_json else record_text(store, record))


def record_text(store: Store, record: CalibrationRecord) -> str:
    """One calibration for reading: its state, its arms' end values, and a sentence about them."""
    from .evidence import describe, summarise

    plan = record.plan
    lines = [f"{record.id}  {record.name}".rstrip(),
             f"state    {record.state} {record.reason}".rstrip(),
             f"progress {record.progress:.0%}",
             f"task     {plan.task}, {plan.base.optimizer}, batch {plan.base.batch_size} -> {plan.target_batch}, "
             f"{plan.start} start, {plan.samples} samples a run, {len(plan.seeds)} seeds"]
    curves = store.curves(record.id)
    found = summarise(curves[curves["arm"] != WARM_START])
    if found:
        rows = [("arm", "end val_loss", "std", "seeds", "difference to base (95% interval)")]
        for arm, one in found.items():
            difference = f"{one.difference:+.5f} +- {one.half_width:.5f}" if one.pairs else ""
            rows.append((arm, f"{one.mean:.6g}", f"{one.std:.3g}", str(one.n), difference))
        sentences = describe(found, task(plan.task).metrics["val_loss"])
        lines += ["", *table(rows), "", *(sentence.replace("**", "") for sentence in sentences)]
    lines += [f"{run.arm}, seed {run.seed}: {run.state}, {run.reason}" for run in record.runs if run.state == "DIVERGED"]
    return "\n".join(lines)


def run_cancel(options: argparse.Namespace) -> int:
    """``sqrtscale runs cancel``"""
    from .runner import cancel

    with _store() as store:
        record = _find(store, options.id)
        if record.final:
            raise BadInput(f"{record.id} has ended already: it is {record.state}")
        print(f"{record.id} is {cancel(store, record.id)}")
    return 0


def run_delete(options: argparse.Namespace) -> int:
    """``sqrtscale runs delete``"""
    with _store() as store:
        record = _find(store, options.id)
        if not record.final:
            raise BadInput(f"{record.id} is {record.state}: cancel it first, with sqrtscale runs cancel {record.id}")
        store.delete(record.id)
    print(f"{record.id} is deleted; sqrtscale runs restore {record.id} brings it back")
    return 0


def run_restore(options: argparse.Namespace) -> int:
    """``sqrtscale runs restore``"""
    with _store() as store:
        record = _find(store, options.id)
        store.restore(record.id)
    print(f"{record.id} is back")
    return 0


def run_export(options: argparse.Namespace) -> int:
    """``sqrtscale runs export``"""
    from .store.export import FORMATS

    if options.format not in FORMATS:
        raise BadInput(f"--format = {options.format!r} is not known: give one of {', '.join(FORMATS)}")
    with _store() as store:
        text = FORMATS[options.format](store, _find(store, options.id))
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        with Path(options.output).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"--output = {options.output!r} cannot be written: {error.strerror}; give a new file") from error
    return 0


def run_app(options: argparse.Namespace) -> int:
    """``sqrtscale app``"""
    app = Path(__file__).resolve().parent.parent / "app.py"
    if not app.exists():
        raise BadInput("the app's pages are not installed here: get the whole project and run ./scripts/app")
    os.chdir(app.parent)  # where .streamlit/config.toml is
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(options.port)])


class _store:
    """The open store, closed at the end; a store that cannot be used ends the command with its one line."""

    def __enter__(self) -> Store:
        from .store import Store

        self.store = Store.open()
        return self.store

    def __exit__(self, *error: object) -> None:
        self.store.close()


def _find(store: Store, id: str) -> CalibrationRecord:
    """The calibration whose id starts with ``id``, deleted or not."""
    found = [one.id for deleted in (False, True) for one in store.list(deleted=deleted, limit=10**9) if one.id.startswith(id)]
    if len(found) > 1:
        raise BadInput(f"ID = {id!r} fits {len(found)} calibrations: give more of it, for example {found[0]}")
    if not found:
        raise BadInput(f"ID = {id!r} is not a stored calibration: sqrtscale runs list shows them")
    return store.get(found[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        options = build_parser().parse_args(arguments)
        return options.run(options)
    except (BadInput, FieldError) as error:
        return _say(error, 2)
    except BrokenPipeError:
        # The reader (head, for example) has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _say("interrupted", 1)
    except (RuntimeError, OSError) as error:  # a store that cannot be used
        return _say(error, 1)


def _say(message: object, code: int) -> int:
    print(" ".join(str(message).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
