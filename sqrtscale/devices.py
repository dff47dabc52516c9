"""Names of devices as plans carry them: ``auto``, ``all``, ``cpu``, ``cuda``, ``cuda:1``, ``cuda:0,cuda:2``; and GPUs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .rules import FieldError

GPU = re.compile(r"cuda(?::(\d{1,4}))?", re.ASCII)


APPLE = re.compile(r"mps(?::0)?", re.ASCII)


@dataclass(frozen=True)
class Card:
    """A GPU as torch sees it. AMD's have CUDA's names in torch.

    capability: 9.0 for example, or gfx942; memory, free: bytes; error: what torch says when it uses the card, empty where it can.
    """

    index: int
    name: str
    capability: str = ""
    memory: int = 0
    free: int = 0
    error: str = ""


def best_first(cards: Sequence[Card]) -> tuple[int, ...]:
    """Indices of the cards that torch can use, the one with the most memory first."""
    return tuple(card.index for card in sorted(cards, key=lambda card: (-card.memory, card.index)) if not card.error)


def devices(name: str, gpus: Sequence[int]) -> tuple[str, ...]:
    """``("cpu",)`` or ``("cuda:0", ...)``, each once: what the name stands for where these GPUs can be used, the best one first.

    auto: the best GPU; all: every GPU; both the CPU where there is none. A GPU that is named need not be there.
    Raises FieldError for a name that is not known.
    """
    if name in ("auto", "all"):
        return tuple(f"cuda:{i}" for i in (sorted(gpus) if name == "all" else gpus[:1])) or ("cpu",)
    if name == "cpu":
        return ("cpu",)
    named: list[str] = []
    for part in name.split(","):
        if APPLE.fullmatch(part.strip()):
            raise FieldError("device", name, "is Apple's GPU, which has no double precision, and an optimizer counts its steps "
                                             "in it: give cpu")
        match = GPU.fullmatch(part.strip())
        if match is None:
            raise FieldError("device", name,
                             "is not known: give auto, cpu, cuda or cuda:0, or several GPUs as all or cuda:0,cuda:1")
        named.append(f"cuda:{int(match[1] or 0)}")
    return tuple(dict.fromkeys(named))
