"""Other programs' names of optimizers -> our families."""

from __future__ import annotations

import re

from ..rules import FAMILIES, UNDERIVED, FieldError, family

ADAMW = ("adamw", "adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_torch_npu_fused", "adamw_torch_4bit",
         "adamw_torch_8bit", "adamw_hf", "adamw_apex_fused", "adamw_anyprecision", "adamw_bnb_8bit", "adamw_8bit", "paged_adamw",
         "paged_adamw_32bit", "paged_adamw_8bit", "ao_adamw_4bit", "ao_adamw_8bit", "ao_adamw_fp8", "optimi_adamw")
TRAINER = {name: "adamw" for name in ADAMW} | {
    "sgd": "sgd", "rmsprop": "rmsprop", "rmsprop_bnb": "rmsprop", "rmsprop_bnb_8bit": "rmsprop", "rmsprop_bnb_32bit": "rmsprop"}


def covered(key: str, name: str, names: dict[str, str]) -> str:
    """Our name of the optimizer that a file names under ``key``.

    Raises FieldError for one that the rule does not cover, with what is known about it.
    """
    wanted = name.strip().lower()
    if wanted in names:
        return names[wanted]
    letters = re.sub("[^a-z]", "", wanted)
    for underived in UNDERIVED:
        if underived in letters:
            family(underived)  # refuses, with its reason
    known = ", ".join(sorted(set(names))[:12])
    raise FieldError(key, name, f"is no optimizer that the rule covers: it covers {known} and the like, so change it or fill in "
                     f"the form with one of {', '.join(list(FAMILIES)[:5])} ...")
