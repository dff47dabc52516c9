"""Names of devices as plans carry them: ``auto``, ``all``, ``cpu``, ``cuda``, ``cuda:1``, ``cuda:0,cuda:2``."""

from __future__ import annotations

import re

from .rules import FieldError

GPU = re.compile(r"cuda(?::(\d{1,4}))?", re.ASCII)


def devices(name: str, gpus: int) -> tuple[str, ...]:
    """``("cpu",)`` or ``("cuda:0", ...)``, each once: what the name stands for on a machine with so many GPUs.

    auto: the first GPU; all: every GPU; both the CPU where there is none. A GPU that is named need not be there.
    Raises FieldError for a name that is not known.
    """
    if name in ("auto", "all"):
        return tuple(f"cuda:{i}" for i in range(gpus if name == "all" else min(gpus, 1))) or ("cpu",)
    if name == "cpu":
        return ("cpu",)
    named: list[str] = []
    for part in name.split(","):
        match = GPU.fullmatch(part.strip())
        if match is None:
            raise FieldError("device", name,
                             "is not known: give auto, cpu, cuda or cuda:0, or several GPUs as all or cuda:0,cuda:1")
        named.append(f"cuda:{int(match[1] or 0)}")
    return tuple(dict.fromkeys(named))
