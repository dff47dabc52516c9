"""fairseq's commands (``fairseq-train``).

Looked up: fairseq, fairseq/dataclass/configs.py, fairseq/optim/adam.py (adam is AdamW there), fairseq/optim/lr_scheduler/ and
fairseq/trainer.py: gradients are averaged over the tokens of a step, ``max_tokens`` and ``batch_size`` are limits of one device,
``update_freq`` passes make a step, and lengths count steps ("updates").
"""

from __future__ import annotations

from ..rules import FieldError
from ._document import Document, Path
from ._format import Signature
from ._reading import Reading
from ._table import Optimizer, Row, Table
from ._view import with_numbers

NAMES = {"adam": "adamw", "cpu_adam": "adamw", "sgd": "sgd"}
SCHEDULES = {"inverse_sqrt": "inverse-sqrt", "cosine": "cosine", "polynomial_decay": "linear", "fixed": "constant"}


def rows_at(adam: str, optimization: str, schedule: str, dataset: str) -> tuple[Row, ...]:
    """The fields, each under the section that it stands in ("" or a name with a dot behind it)."""
    checkpoint = "checkpoint." if optimization else ""
    return (
        Row("lr", (f"{optimization}lr.0", f"{optimization}lr") if optimization else ("lr", "lr.0")),
        Row("beta1", (f"{adam}adam_betas.0",), 0.9),
        Row("beta2", (f"{adam}adam_betas.1",), 0.999),
        Row("eps", (f"{adam}adam_eps",), 1e-8),
        Row("weight_decay", (f"{adam}weight_decay",), 0.0),
        Row("momentum", (f"{adam}momentum",), 0.0),
        Row("clip_norm", (f"{optimization}clip_norm",)),
        Row("total_steps", (f"{optimization}max_update",)),
        Row("min_lr", (f"{schedule}min_lr", f"{schedule}end_learning_rate")),
        Row("eval_interval", (f"{dataset}validate_interval_updates",)),
        Row("checkpoint_interval", (f"{checkpoint}save_interval_updates",)),
    )


def steps_at(schedule: str) -> tuple[str, ...]:
    """Further numbers of steps."""
    names = ("total_num_update", "lr_period_updates", "warmup_steps", "hold_steps", "decay_steps")
    return tuple(f"{schedule}{name}" for name in names)


def read_batch(reading: Reading, dataset: Path, optimization: Path) -> None:
    """The limit of a pass in tokens or in examples, and the passes of a step."""
    limits = [(*dataset, name) for name in ("max_tokens", "batch_size", "max_sentences") if reading.number(*dataset, name)]
    if len(limits) == 1:
        reading.count("per_device", *limits[0])
        if limits[0][-1] == "max_tokens":
            reading.notes.append("The batch is counted in tokens, or in samples of sound, as max_tokens is: give the target so "
                                 "too.")
    else:
        listed = " and ".join(f"{place[-1]} = {reading.get(*place)}" for place in limits)
        reading.ask("per_device", "How many tokens, or examples, does one device take in one pass? "
                    + (f"The file has {listed}, whichever is met first." if limits else "The file does not say max_tokens."))
    passes = reading.get(*optimization, "update_freq")
    if isinstance(passes, list) and len(passes) > 1:
        raise FieldError("update_freq", passes, "changes the batch from epoch to epoch, and lr belongs to one of them: give one "
                         "number")
    item = [0] if isinstance(passes, list) or (optimization and passes is None) else []
    reading.count("accumulation", *optimization, "update_freq", *item, default=1)


def read_schedule(reading: Reading, schedule: Path, named: Path, optimization: Path) -> None:
    """Warm-up, whose default depends on the schedule, and rates beside lr."""
    default = 4000 if reading.get(*named) == "inverse_sqrt" else None
    if default or reading.number(*schedule, "warmup_updates"):
        reading.take("warmup_steps", *schedule, "warmup_updates", default=default)
    for place in ((*schedule, "warmup_init_lr"), (*optimization, "stop_min_lr")):
        if (reading.number(*place) or 0) > 0:
            reading.along("lr", *place)
    rates = reading.get(*optimization, "lr")
    if isinstance(rates, list):
        reading.along("lr", *optimization, "lr")


def _more(reading: Reading) -> None:
    read_batch(reading, (), ())
    read_schedule(reading, (), ("lr_scheduler",), ())
    if not reading.has("adam_betas"):  # one word with brackets, which an export cannot add
        for name in ("beta1", "beta2"):
            reading.places.pop(name, None)


def _view(document: Document) -> Document:
    return with_numbers(document, ("adam_betas",))


TABLE = Table(
    key="fairseq",
    label="fairseq",
    signature=Signature(
        ("arch", "max_tokens", "update_freq", "warmup_updates", "max_update", "lr_scheduler", "adam_betas", "criterion",
         "max_sentences", "clip_norm", "warmup_init_lr", "share_decoder_input_output_embed", "save_interval_updates", "user_dir",
         "no_epoch_checkpoints"),
        least=4, needs=("optimizer", "lr"), never=("adam_beta1", "optimizer._name", "per_device_train_batch_size")),
    optimizer=Optimizer(("optimizer",), NAMES),
    rows=(*rows_at("", "", "", ""), Row("devices", ("distributed_world_size",)), Row("dropout", ("dropout",)),
          Row("label_smoothing", ("label_smoothing",))),
    syntaxes=("command", "json"),
    schedule=("lr_scheduler", SCHEDULES),
    steps=steps_at(""),
    more=_more,
    view=_view,
    irrelevant=("required_batch_size_multiple", "final_lr_scale", "init_lr_scale", "n_frames_per_step"),
)
FORMAT = TABLE.format
