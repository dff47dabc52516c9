"""How calibrations run here, by a trial in a process of its own: as CUDA graphs, operation by operation, or on the CPU."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from ..devices import Card
from ..processes import command, environment
from . import memory
from .detection import Detection, detect, fingerprint, nodes
from .reasons import FREE_MEMORY, NO_GPU, OUT_OF_MEMORY, RESTART, Machine, Reason, look, why_not

Outcome = Literal["graph", "eager", "cpu"]
PATIENCE = 240.0  # seconds of one trial
LOOK_EVERY = 0.5
GRAPHS_OFF = {"SQRTSCALE_CUDA_GRAPHS": "off"}
Row = dict[str, Any]  # of a trial, as ``training.trial`` prints it
TRIAL = 1  # raised when what is tried changes


@dataclass(frozen=True)
class Diagnosis:
    """What calibrations run on, and why.

    outcome: ``graph`` on a GPU by CUDA graphs, ``eager`` on a GPU operation by operation, ``cpu``; sentence: why, in one line;
    remedy: what to do where it could be better; runs: whether calibrations can run at all; rows: of the trial.
    """

    outcome: Outcome
    sentence: str
    remedy: str = ""
    runs: bool = True
    detection: Detection = field(default_factory=Detection)
    machine: Machine = field(default_factory=Machine)
    rows: tuple[Row, ...] = ()

    @property
    def advice(self) -> str:
        """The sentence with the remedy, as errors have it."""
        return f"{self.sentence}: {self.remedy}" if self.remedy else f"{self.sentence}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"advice": self.advice}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Diagnosis:
        """The inverse of :meth:`as_dict`."""
        kept = {name: value for name, value in values.items() if name not in ("advice", "others")}
        machine = kept["machine"] | {name: tuple(kept["machine"][name]) for name in ("cards", "nodes", "pci")}
        return cls(**{**kept, "detection": Detection.from_dict(kept["detection"]), "machine": Machine(**machine),
                      "rows": tuple(kept["rows"])})


class Trial(NamedTuple):
    """rows: what was tried; died: how the process ended before its end, empty where it did not; late: its time was over."""

    rows: Sequence[Row] = ()
    died: str = ""
    late: bool = False


def remembered(index: int | None = None) -> Diagnosis | None:
    """What a trial of that card has said, of the best one if left out; None where none was made with this driver and torch."""
    detection = detect()
    card = detection.card(index)
    return None if card is None else memory.recall("diagnosis", _key(detection, card), Diagnosis.from_dict)


def _key(detection: Detection, card: Card) -> str:
    """What a trial depends on: our version, torch, driver and card, and which cards are hidden, because they move its index."""
    host, _, *rest = json.loads(fingerprint())
    return json.dumps([TRIAL, host, *rest[:4], rest[-1], detection.cuda, detection.hip, card.index, card.name, card.capability])


def diagnose(quick: bool = False, meanwhile: Callable[[], object] = lambda: None, index: int | None = None) -> Diagnosis:
    """Ask torch anew and try the card of that index, the best one if left out.

    quick: nothing where there is no GPU, and no estimates of whole calibrations; meanwhile: called about twice a second. What was
    said of a GPU is remembered, unless it lacked memory, which others may hold.
    """
    machine = look()
    detection = detect(anew=True, listed=bool(machine.cards))
    machine = replace(machine, nodes=tuple(nodes()))  # torch may have had them made
    card = detection.card(index)
    if card is None:
        reason = why_not(detection, machine)
        tried = _trial("cpu", quick, meanwhile) if not quick and detection.torch else Trial()
        return _on_cpu(detection, machine, reason, tried)
    device = f"cuda:{card.index}"
    name = f"{card.name} ({device})" if len(detection.usable) > 1 else card.name
    trial = _trial(device, quick, meanwhile)
    outcome, reason = judge(trial.rows, trial.died, name)
    if trial.died and outcome == "cpu":
        first, trial = trial, _trial(device, quick, meanwhile, GRAPHS_OFF)
        outcome, reason = judge_without_graphs(trial.rows, first.died, trial.died, name)
    if outcome == "cpu":
        on_cpu = Trial() if quick else _trial("cpu", quick, meanwhile)
        diagnosis = _on_cpu(detection, machine, reason, Trial([*trial.rows, *on_cpu.rows], on_cpu.died, on_cpu.late))
    else:
        diagnosis = Diagnosis(outcome, reason.sentence, reason.remedy, True, detection, machine, tuple(trial.rows))
    if reason.remedy != FREE_MEMORY:
        memory.keep("diagnosis", _key(detection, card), diagnosis.as_dict(), for_good=outcome == "graph")
    return diagnosis


def diagnose_each(quick: bool = False) -> tuple[Diagnosis, ...]:
    """The same of every GPU that torch can use, one after another: the one that ``auto`` takes first; of the CPU without any."""
    diagnoses = [diagnose(quick)]
    for index in diagnoses[0].detection.usable[1:]:
        works = any(diagnosis.outcome != "cpu" for diagnosis in diagnoses)  # one is enough to time a default calibration on
        diagnoses.append(diagnose(quick or works, index=index))
    return tuple(sorted(diagnoses, key=lambda diagnosis: diagnosis.outcome == "cpu"))


def _on_cpu(detection: Detection, machine: Machine, reason: Reason, trial: Trial) -> Diagnosis:
    """What runs where no GPU does; trial: also on the CPU, which may have died. One that is slow proves nothing."""
    errors = [row["error"] or "it is off what autograd computes" for row in trial.rows
              if row["device"] == "cpu" and not row["agrees"]]
    wrong = errors[0] if errors else f"the trial {trial.died}" if trial.died and not trial.late else ""
    rows = trial.rows
    if not detection.torch:
        return Diagnosis("cpu", f"No calibration can run: {reason.sentence}", reason.remedy, False, detection, machine)
    if wrong:
        return Diagnosis("cpu", f"No calibration can run, on the CPU neither: {wrong}", "install torch anew", False, detection,
                         machine, tuple(rows))
    sentence = reason.sentence if reason.remedy == FREE_MEMORY else f"{reason.sentence}; calibrations run on the CPU"
    return Diagnosis("cpu", sentence, reason.remedy, True, detection, machine, tuple(rows))


def judge(rows: Sequence[Row], died: str, card: str) -> tuple[Outcome, Reason]:
    """What the rows of a trial on a GPU say; died: how its process ended before its end, empty where it did not."""
    for row in rows:
        if row["executor"] != "captured" and (row["error"] or not row["agrees"]):
            if OUT_OF_MEMORY.search(row["error"]):
                return "cpu", Reason(f"The memory of {card} is full", FREE_MEMORY)
            said = row["error"] or f"it is {row['difference']:.1%} off what the CPU computes"
            return "cpu", Reason(f"{card} fails in the trial at {row['what']} ({said})", "send the output of sqrtscale doctor "
                                 "--json; another version of torch or of the driver may do")
    if died:
        return "cpu", Reason(f"The trial on {card} {died}", FREE_MEMORY if OUT_OF_MEMORY.search(died) else RESTART)
    refused = next((row for row in rows if row["executor"] == "captured" and (row["error"] or not row["agrees"])), None)
    if refused is not None:
        said = refused["error"] or f"it is {refused['difference']:.1%} off the same step without one"
        return "eager", Reason(f"Calibrations run on {card} operation by operation, because {refused['what']} cannot be captured "
                               f"as a CUDA graph ({said})", FREE_MEMORY if OUT_OF_MEMORY.search(said) else
                               "send the output of sqrtscale doctor --json")
    return "graph", Reason(f"Calibrations run on {card}, small steps as CUDA graphs")


def judge_without_graphs(rows: Sequence[Row], died: str, died_again: str, card: str) -> tuple[Outcome, Reason]:
    """The same for a second trial, without graphs, where the first one died."""
    outcome, reason = judge(rows, died_again, card)
    if outcome == "cpu":
        return outcome, reason
    return "eager", Reason(f"Calibrations run on {card} operation by operation, because the trial with CUDA graphs {died}",
                           "send the output of sqrtscale doctor --json")


def _trial(device: str, quick: bool, meanwhile: Callable[[], object], settings: dict[str, str] | None = None
           ) -> Trial:
    """Try a device in a process of its own."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(command("training.trial", device, *["--quick"] * quick), text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=environment() | (settings or {}))
    except OSError as error:
        return Trial(died=f"could not be started ({error})")
    late = False
    with process:
        while True:
            try:
                output, errors = process.communicate(timeout=LOOK_EVERY)
                break
            except subprocess.TimeoutExpired:
                try:
                    meanwhile()
                except BaseException:  # nobody waits for it any more
                    process.kill()
                    raise
                if time.monotonic() - began > PATIENCE and not late:
                    late = True
                    process.kill()
    rows: list[Row] = []
    doing = "its start"
    for line in output.splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # another library's word, or half a line
            continue
        if isinstance(row, dict) and "begins" in row:
            doing = row["begins"]
        elif isinstance(row, dict) and "what" in row:
            rows.append(row)
    if late:
        return Trial(rows, f"did not end within {PATIENCE:.0f} s, at {doing}", late)
    if process.returncode:
        last = (errors.strip().splitlines() or ["no word"])[-1][:300]
        return Trial(rows, f"died at {doing} ({last}, exit code {process.returncode})")
    return Trial(rows)


__all__ = ["GRAPHS_OFF", "NO_GPU", "Diagnosis", "diagnose", "diagnose_each", "judge", "judge_without_graphs", "remembered"]
