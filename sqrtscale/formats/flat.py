"""Hyperparameters alone, at the root of a JSON, YAML or TOML, under the names that PyTorch or this project has for them.

Of no program: every key must be one of those known here, so that a file of another program is not taken for one of these.
"""

from __future__ import annotations

from ..rules import FAMILIES, RUN_FIELDS, FieldError
from ._classes import TORCH
from ._document import Document
from ._format import path_of
from ._reading import LOSS_REDUCTION, Reading
from ._table import Note, Optimizer, Row, Table

HYPERPARAMETERS = (
    Row("lr", ("lr", "learning_rate")),
    Row("beta1", ("betas.0", "beta1")),
    Row("beta2", ("betas.1", "beta2")),
    Row("alpha", ("alpha",)),
    Row("eps", ("eps", "epsilon")),
    Row("eps_root", ("eps_root",)),
    Row("weight_decay", ("weight_decay", "wd")),
    Row("momentum", ("momentum",)),
    Row("momentum_decay", ("momentum_decay",)),
)
OF_THE_RUN = (
    Row("total_steps", ("total_steps", "max_steps", "num_steps", "steps")),
    Row("clip_norm", ("clip_norm", "max_grad_norm", "grad_clip", "clip_grad")),
    *(Row(name, (name,)) for name in RUN_FIELDS if name not in ("total_steps", "clip_norm", "loss_reduction")),
)
OPTIMIZER = ("optimizer", "optim")
SWITCHES = {
    ("adam", "amsgrad"): "amsgrad",
    ("adam", "decoupled_weight_decay"): "adamw",
    ("rmsprop", "centered"): "rmsprop_centered",
}
OTHER_KEYS = (
    "batch_size", "global_batch_size", "epochs", "num_epochs", "seed", "name", "model", "dataset", "device", "loss_reduction",
    "fused", "foreach", "capturable", "differentiable", "nesterov", *(key for _, key in SWITCHES),
)
KNOWN = {str(path_of(path)[0]) for row in (*HYPERPARAMETERS, *OF_THE_RUN) for path in row.paths} | {*OPTIMIZER, *OTHER_KEYS}
OWN = ("betas", "beta1", "beta2", "eps", "weight_decay", "alpha")
NAMES = {**TORCH, **{name: name for name in FAMILIES}}


def fits(document: Document) -> tuple[str, ...]:
    data = document.data
    if not isinstance(data, dict) or not KNOWN.issuperset(data) or any(isinstance(value, dict) for value in data.values()):
        return ()
    rate, own = (tuple(name for name in names if data.get(name) is not None) for names in (("lr", "learning_rate"), OWN))
    return (*rate, *own) if rate and own else ()


def _more(reading: Reading) -> None:
    """The batch, which is only known to be of a whole step where it is called global, and what no file of this kind says."""
    if reading.has("global_batch_size"):
        reading.count("global_batch", "global_batch_size")
    elif reading.has("batch_size"):
        size = reading.document.get(("batch_size",))
        reading.ask("batch_size", "How many samples does one optimizer step see, over all devices and accumulated passes? The "
                    f"file has batch_size = {size}, which may be of one device or one pass.")
    if not reading.has("loss_reduction"):
        reading.ask(*LOSS_REDUCTION, required=False)
    else:
        reading.take("loss_reduction", "loss_reduction")
    for key in dict.fromkeys(key for _, key in SWITCHES):
        if reading.switch(key):
            switched = SWITCHES.get((reading.optimizer or "", key))
            if switched is None:
                raise FieldError(key, True, f"is not covered for {reading.optimizer or 'an unnamed optimizer'}: fill in the form")
            reading.chosen(switched)
    if reading.optimizer == "adam" and reading.values.get("weight_decay"):
        reading.notes.append("Adam's weight decay is taken as PyTorch has it, as L2 in the gradient: where your program "
                             "decouples it, say AdamW.")


TABLE = Table(
    key="flat",
    label="hyperparameters alone",
    signature=fits,
    optimizer=Optimizer(OPTIMIZER, NAMES, last=True),
    rows=(*HYPERPARAMETERS, *OF_THE_RUN),
    syntaxes=("json", "yaml", "toml"),
    notes=tuple(Note(name, f"{name} is taken as the largest norm of the gradient.") for name in ("grad_clip", "clip_grad")),
    more=_more,
)
FORMAT = TABLE.format
