"""Other programs' names of optimizers -> our families."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..rules import FAMILIES, UNDERIVED, FieldError
from ._document import Path, entries, shown

ADAMW = (
    "adamw",
    "adamw_torch",
    "adamw_torch_fused",
    "adamw_torch_xla",
    "adamw_torch_npu_fused",
    "adamw_torch_4bit",
    "adamw_torch_8bit",
    "adamw_hf",
    "adamw_apex_fused",
    "adamw_anyprecision",
    "adamw_bnb_8bit",
    "adamw_8bit",
    "paged_adamw",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
    "ao_adamw_4bit",
    "ao_adamw_8bit",
    "ao_adamw_fp8",
    "optimi_adamw",
)
TRAINER = {name: "adamw" for name in ADAMW} | {
    "sgd": "sgd",
    "rmsprop": "rmsprop",
    "rmsprop_bnb": "rmsprop",
    "rmsprop_bnb_8bit": "rmsprop",
    "rmsprop_bnb_32bit": "rmsprop",
}


def covered(key: str, name: str, names: Mapping[str, str]) -> str:
    """Our name of the optimizer that a file names under ``key``.

    Raises FieldError for one that the rule does not cover, with what is known about it.
    """
    wanted = name.strip().lower()
    if wanted in names:
        return names[wanted]
    letters = re.sub("[^a-z]", "", wanted)
    for underived in UNDERIVED:
        if underived in letters:
            raise FieldError(key, name, UNDERIVED[underived].allowed)
    known = ", ".join(sorted(set(names))[:12])
    raise FieldError(
        key,
        name,
        f"is no optimizer that the rule covers: it covers {known} and the like, so change it or fill in "
        f"the form with one of {', '.join(list(FAMILIES)[:5])} ...",
    )


_SWITCH = re.compile(r"(?:use|enable|with)_?(\w{2,40})")
_OFF = (None, False, 0, "", "none", "null", "no", "false", "off")


def refuse_replaced(data: Any) -> None:
    """Raise FieldError where a switch anywhere in the data puts another optimizer in the place of the one that is named.

    ``use_muon: true``, ``use_galore: true``, ``schedule_free: true``: the optimizer of the file is then that one.
    """
    for path, value in entries(data):
        key = path[-1]
        if isinstance(key, str) and not isinstance(value, (str, dict, list)) and value not in _OFF:
            _refuse_switch(path, key, value)


def _refuse_switch(path: Path, key: str, value: Any) -> None:
    switch = _SWITCH.fullmatch(key.lower())
    letters = re.sub("[^a-z]", "", switch[1] if switch else key.lower()[:60])
    letters = letters.removesuffix("optimizer").removesuffix("optim")
    if letters in UNDERIVED and (switch or value is True):
        raise FieldError(
            shown(path), value, f"replaces the optimizer by {UNDERIVED[letters].label}, which {UNDERIVED[letters].allowed}"
        )
