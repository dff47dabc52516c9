"""nanoGPT's configurations in Python, its command line, and what wandb keeps of its runs.

Looked up: nanoGPT, train.py, configurator.py and model.py (torch's AdamW with its own eps). train.py divides
``gradient_accumulation_steps`` by the number of processes: it counts the passes of all devices.
"""

from __future__ import annotations

from dataclasses import replace

from ._document import Document
from ._format import Format, Signature
from ._reading import STEPS, Reading
from ._table import Optimizer, Row, Table

ASKED = "The command names a file that may set {0}, and does not say it itself: which {0}?"
TABLE = Table(
    key="nanogpt",
    label="nanoGPT",
    syntaxes=("python", "command", "yaml", "json"),
    signature=Signature(
        ("gradient_accumulation_steps", "block_size", "max_iters", "lr_decay_iters", "warmup_iters", "eval_iters", "n_layer",
         "n_head", "n_embd", "decay_lr", "grad_clip", "wandb_log", "always_save_checkpoint", "init_from", "out_dir"),
        least=4, never=("micro_batch_size", "global_batch_size", "per_device_train_batch_size", "gradient_accumulation_iters",
                        "optimizer", "optim")),
    optimizer=Optimizer((), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("learning_rate",)),
        Row("beta1", ("beta1",), 0.9),
        Row("beta2", ("beta2",), 0.95),
        Row("eps", (), 1e-8),
        Row("weight_decay", ("weight_decay",), 0.1),
        Row("clip_norm", ("grad_clip",), 1.0),
        Row("per_device", ("batch_size",), 12),
        Row("passes", ("gradient_accumulation_steps",), 40),
        Row("total_steps", ("max_iters",), 600_000),
        Row("eval_interval", ("eval_interval",)),
        Row("log_interval", ("log_interval",)),
        Row("dropout", ("dropout",)),
    ),
    remarks=("gradient_accumulation_steps counts the passes of all devices, as nanoGPT has it since 2023; a copy that does not "
             "divide it by the number of processes needs --batch.",),
)


def fits(document: Document) -> tuple[str, ...]:
    """Its own keys; of a command that names a file of config/ a few of them will do."""
    few = replace(TABLE.signature, least=2)(document) if _file(document) else ()
    return TABLE.signature(document) or few


def read(document: Document) -> Reading:
    """A command may name a file, whose values then stand in the place of train.py's own."""
    file = _file(document)
    reading = (replace(TABLE, rows=tuple(map(_set_elsewhere, TABLE.rows))) if file else TABLE).read(document)
    if file:
        reading.notes.append(f"{file} sets what the command does not, and is not read: write the options into it, and give that.")
    _schedule(reading, set_elsewhere=bool(file))
    return reading


def _file(document: Document) -> str:
    """The configuration in Python that a command names, if any."""
    words = [str(word) for word in document.get(("launcher", "arguments")) or () if str(word).endswith(".py")]
    return words[0] if words else ""


def _set_elsewhere(row: Row) -> Row:
    """The same without train.py's default; a hyperparameter is asked for."""
    if row.name in ("beta1", "beta2", "weight_decay"):
        return replace(row, ask=ASKED.format(row.name))
    return replace(row, default=None) if row.paths else row


def _schedule(reading: Reading, set_elsewhere: bool) -> None:
    if reading.get("decay_lr") is False:  # then there is no warm-up either
        reading.run["schedule"] = "constant"
        reading.accounted |= {("warmup_iters",), ("lr_decay_iters",), ("min_lr",)}
        return
    reading.run["schedule"] = "cosine"
    reading.take("warmup_steps", "warmup_iters", default=None if set_elsewhere else 2000)
    reading.take("min_lr", "min_lr", default=None if set_elsewhere else 6e-5)
    reading.along(STEPS, "lr_decay_iters")
    if not reading.has("lr_decay_iters"):
        reading.notes.append("lr_decay_iters is not in the file (600000 in train.py): give it, divided by kappa.")


FORMAT = Format("nanogpt", "nanoGPT", TABLE.syntaxes, fits, read)
