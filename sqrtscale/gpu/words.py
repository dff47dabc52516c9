"""A diagnosis in words, for a terminal and for a page."""

from __future__ import annotations

import math

from .diagnosis import Diagnosis, Row

HEAD = ("tried", "device", "executor", "ms", "off by", "")


def facts(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What is known of torch, driver and cards: name and value."""
    found, machine = diagnosis.detection, diagnosis.machine
    built = f"CUDA {found.cuda}" if found.cuda else f"ROCm {found.hip}" if found.hip else "no GPU" if found.built_without else ""
    driver = ", ".join(filter(None, [machine.driver, f"up to CUDA {found.driver_cuda or machine.cuda}"
                                     if found.driver_cuda or machine.cuda else ""]))
    lines = [("torch", f"{found.torch or 'not installed'}" + f", built for {built}" * bool(built and not found.error))]
    if driver:
        lines.append(("driver", driver))
    for card in found.cards:
        state = f"cannot be used: {card.error}" if card.error else f"{_gigabytes(card.free)} of {_gigabytes(card.memory)} free"
        lines.append((f"cuda:{card.index}", f"{card.name}, capability {card.capability}, {state}"))
    if found.architectures:
        lines.append(("kernels for", ", ".join(found.architectures)))
    seen = [name for name in machine.cards if not any(name == card.name for card in found.cards)]
    if seen:
        lines.append(("also here", ", ".join(seen)))
    if machine.slices:
        lines.append(("MIG", f"{machine.slices} slices; torch shows a process one of them: name another by CUDA_VISIBLE_DEVICES"))
    return lines


def trials(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    """What was tried, a line each after a head; empty where nothing was."""
    rows = [_line(row) for row in diagnosis.rows]
    return [HEAD, *rows] if rows else []


def text(diagnosis: Diagnosis, *others: Diagnosis) -> str:
    """The answer first, then those of other cards, then what they rest on."""
    lines = []
    for each in (diagnosis, *others):
        lines.append(f"{each.outcome}: {each.sentence}.")
        if each.remedy:
            lines.append(f"To do: {each.remedy}.")
    lines += ["", *(f"{name + ':':14}{value}" for name, value in facts(diagnosis))]
    rows = {line: None for each in (diagnosis, *others) for line in trials(each)}  # the head, and trials on the CPU, once
    if table := list(rows):
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        padded = (map(str.ljust, line, widths) for line in table)
        lines += ["", *("  ".join(cells).rstrip() for cells in padded)]
    return "\n".join(lines)


def _line(row: Row) -> tuple[str, ...]:
    if row["seconds"]:
        return row["what"], row["device"], "", "", "", f"{duration(row['seconds'])} at most"
    state = row["error"] or ("" if row["agrees"] else "does not agree")
    off = f"{row['difference']:.1e}" if math.isfinite(row["difference"]) else "not a number"
    return row["what"], row["device"], row["executor"], f"{row['ms']:.3g}", off, state


def duration(seconds: float) -> str:
    """Seconds up to two minutes, then minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
