"""nanoGPT's configurations in Python, its command line, and what wandb keeps of its runs.

Looked up: nanoGPT, train.py, configurator.py and model.py (torch's AdamW with its own eps). train.py divides
``gradient_accumulation_steps`` by the number of processes: it counts the passes of all devices.
"""

from __future__ import annotations

from dataclasses import replace

from ._document import Document
from ._format import Format, Signature
from ._launcher import named_file
from ._reading import STEPS, Reading
from ._table import Optimizer, Row, Table

SIGNATURE = Signature(
    ("gradient_accumulation_steps", "block_size", "max_iters", "lr_decay_iters", "warmup_iters", "eval_iters", "n_layer",
     "n_head", "n_embd", "decay_lr", "grad_clip", "wandb_log", "always_save_checkpoint", "init_from", "out_dir"),
    least=4, never=("micro_batch_size", "global_batch_size", "per_device_train_batch_size", "gradient_accumulation_iters",
                    "optimizer", "optim"))
TABLE = Table(
    key="nanogpt",
    label="nanoGPT",
    syntaxes=("python", "command", "yaml", "json"),
    signature=SIGNATURE,
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
    few = replace(SIGNATURE, least=2)(document) if named_file(document).endswith(".py") else ()
    return SIGNATURE(document) or few


def _schedule(reading: Reading) -> None:
    if reading.get("decay_lr") is False:  # then there is no warm-up either
        reading.run["schedule"] = "constant"
        reading.accounted |= {("warmup_iters",), ("lr_decay_iters",), ("min_lr",)}
        return
    reading.run["schedule"] = "cosine"
    reading.take("warmup_steps", "warmup_iters", default=2000)
    reading.take("min_lr", "min_lr", default=6e-5)
    reading.along(STEPS, "lr_decay_iters")
    if not reading.has("lr_decay_iters"):
        reading.notes.append("lr_decay_iters is not in the file (600000 in train.py): give it, divided by kappa.")


TABLE = replace(TABLE, more=_schedule)
FORMAT = Format("nanogpt", "nanoGPT", TABLE.syntaxes, fits, TABLE.read)
