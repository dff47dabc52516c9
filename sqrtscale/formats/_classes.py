"""An optimizer by the name of its class, as Hydra's ``_target_``, mmengine's ``type`` and the like have it, with its arguments.

Defaults: torch.optim; transformers.AdamW (eps 1e-6, weight_decay 0); apex's and DeepSpeed's FusedAdam and DeepSpeedCPUAdam, which
are AdamW with weight_decay 0 unless told otherwise; bitsandbytes and torchao as torch; Composer's DecoupledAdamW.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..rules import FAMILIES, FieldError
from ._document import Path, Unread, shown
from ._optimizers import covered
from ._reading import Reading
from .param_groups import PLACES

_TORCH = [kind for kind in FAMILIES.values() if kind.library == "pytorch" and not kind.options]
TORCH = {kind.call.rpartition(".")[2].lower(): kind.name for kind in _TORCH}
_FUSED = {"fusedadam": "adamw", "fusedadamw": "adamw", "deepspeedcpuadam": "adamw"}
_BITS = {f"{paged}{name}{bits}": name for name in ("adam", "adamw") for paged in ("", "paged") for bits in ("", "8bit", "32bit")}
LIBRARIES: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {  # first part of the name -> classes, other defaults
    "": ({**_BITS, **{f"bnb_{name}": kind for name, kind in _BITS.items()}, **TORCH}, {}),
    "torch": (TORCH, {}),
    "transformers": ({"adamw": "adamw"}, {"eps": 1e-6, "weight_decay": 0.0}),
    "apex": (_FUSED, {"weight_decay": 0.0}),
    "deepspeed": (_FUSED, {"weight_decay": 0.0}),
    "transformer_engine": (_FUSED, {"weight_decay": 0.0}),
    "bitsandbytes": (_BITS, {}),
    "torchao": ({f"{name}{bits}": name for name in ("adam", "adamw") for bits in ("8bit", "4bit", "fp8")}, {}),
    "composer": ({"decoupledadamw": "composer_adamw"}, {}),
    "timm": ({"rmsproptf": "timm_rmsproptf"}, {}),
}
_OTHERS = {name: kind for names, _ in LIBRARIES.values() for name, kind in names.items()}


def is_optimizer(name: str) -> bool:
    """True for the name of a class that a library of optimizers has."""
    return name.rpartition(".")[2].lower() in _OTHERS


def read_class(reading: Reading, named: Path, arguments: Path) -> None:
    """Take the optimizer whose class stands at ``named``, and its hyperparameters from the table ``arguments``.

    A name without a module is torch's, or bitsandbytes' as mmengine has it. Of a class of nobody's library it is asked which
    optimizer it is. Raises FieldError for one that the rule does not cover.
    """
    reading.places["optimizer"] = named
    value = reading.document.get(named)
    call = value.text if isinstance(value, Unread) else reading.text(*named) or ""  # a class in Python, by its name
    root, _, _ = call.rpartition(".")[0].partition(".")
    names, defaults = LIBRARIES.get(root, (_OTHERS, {}))
    kind = covered(shown(named), call.rpartition(".")[2], dict(names))
    if root in LIBRARIES:
        reading.chosen(_by_its_switches(reading, kind, arguments))
    else:
        reading.ask("optimizer", f"Which optimizer is {call}? It is of no library that is known here.", kind)
        reading.notes.append(f"{shown(named)} = {call}: what the file leaves to it is taken as PyTorch has it.")
    table = reading.table(*arguments)
    for name, path in PLACES.items():
        place = (*arguments, *path)
        if name == "lr":
            reading.rate(*place)
        elif name in reading.fields if reading.optimizer else path[0] in table:
            reading.take(name, *place, default=defaults.get(name))


def _by_its_switches(reading: Reading, kind: str, arguments: Path) -> str:
    """The family, where an argument makes another algorithm of the class."""

    def on(name: str) -> bool:
        return reading.switch(*arguments, name)

    coupled = any(reading.get(*arguments, name) is False for name in ("adam_w_mode", "adamw_mode"))
    if kind == "adamw" and coupled:
        return "adam"
    if on("decoupled_weight_decay") and reading.number(*arguments, "weight_decay"):
        if kind != "adam":
            raise FieldError(shown((*arguments, "decoupled_weight_decay")), True, "is covered for Adam alone, which it makes "
                             "AdamW: set it to false, or weight_decay to 0")
        return "adamw"
    if on("amsgrad") and kind == "adam":
        return "amsgrad"
    if on("amsgrad"):
        reading.notes.append("amsgrad is true: AMSGrad divides by the largest v so far, and the rule holds while v is steady.")
    return "rmsprop_centered" if kind == "rmsprop" and on("centered") else kind
