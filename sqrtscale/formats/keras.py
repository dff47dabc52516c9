"""A Keras optimizer as JSON: its get_config() or serialize(), a model saved with compile_config, a tfjs model.json.

Fields: Keras 3, keras/src/optimizers. The batch is not in it: fit(batch_size=...) counts the samples of all replicas.
"""

from __future__ import annotations

import re

from ..rules import FAMILIES, FieldError
from ._document import Document, Path
from ._format import Format
from ._imported import Question
from ._optimizers import covered
from ._reading import Reading

NAMES = {"adam": "keras_adam", "adamw": "keras_adamw", "rmsprop": "keras_rmsprop"}
OWN = ("beta_1", "beta_2", "rho", "use_ema", "ema_momentum", "global_clipnorm", "clipnorm", "is_legacy_optimizer", "amsgrad")
AROUND: tuple[Path, ...] = (  # where an optimizer with class_name and config may stand
    (),
    ("optimizer",),
    ("optimizer_config",),
    ("compile_config", "optimizer"),
    ("training_config", "optimizer_config"),
    ("modelTopology", "training_config", "optimizer_config"),
)
BATCH = Question("per_device", "Which batch_size goes to fit()? It counts the samples of all replicas.")


def root(document: Document) -> Path:
    """Where the configuration of the optimizer stands."""
    for path in AROUND:
        if isinstance(document.get((*path, "config", "learning_rate")), (int, float, dict)) and document.has(
            (*path, "class_name")
        ):
            return (*path, "config")
    return ()


def fits(document: Document) -> tuple[str, ...]:
    where = root(document)
    table = document.get(where)
    if not isinstance(table, dict) or "learning_rate" not in table:
        return ()
    seen = tuple(key for key in OWN if key in table)
    return ("class_name", "config.learning_rate", *seen) if where else seen if len(seen) > 1 else ()


def read(document: Document) -> Reading:
    reading = Reading(document, "Keras")
    where = root(document)
    named = where and reading.get(*where[:-1], "class_name")
    key = (*where[:-1], "class_name") if named else (*where, "name")
    name = reading.text(*key, default="").lower().rpartition(">")[2]
    reading.places["optimizer"] = key
    if re.sub("[^a-z]", "", name) in NAMES:  # names are made of the class's: rm_sprop, adam_1
        name = re.sub("[^a-z]", "", name)
    family = covered(str(key[-1]), name, NAMES)
    if reading.switch(*where, "amsgrad"):
        raise FieldError("amsgrad", True, "is not covered for Keras: set it to false, or use PyTorch's AMSGrad")
    centered = family == "keras_rmsprop" and reading.switch(*where, "centered")
    reading.chosen("keras_rmsprop_centered" if centered else family)
    _rate(reading, (*where, "learning_rate"))
    for field, argument in FAMILIES[reading.optimizer].argument_names.items():
        if field != "lr":
            reading.take(field, *where, argument)
    _run(reading, where)
    reading.batch["devices"] = 1  # fit() splits its batch over the replicas
    reading.questions.append(BATCH)
    reading.count("accumulation", *where, "gradient_accumulation_steps")
    _loss(reading, where[:-2])
    return reading


def _loss(reading: Reading, compiled: Path) -> None:
    """A loss with reduction "sum" makes gradients grow with the batch."""
    reduction = reading.document.get((*compiled, "loss", "config", "reduction"))
    if isinstance(reduction, str) and reduction.lower() == "sum":
        reading.take("loss_reduction", *compiled, "loss", "config", "reduction")


def _rate(reading: Reading, path: Path) -> None:
    """A number, or a serialized schedule."""
    if not isinstance(reading.get(*path), dict):
        reading.rate(*path)
        return
    config = (*path, "config")
    kind = reading.text(*path, "class_name", default="")
    peak = "warmup_target" if reading.number(*config, "warmup_target") else "initial_learning_rate"
    if reading.number(*config, peak) is None:
        raise FieldError("learning_rate", kind or "a table", "is a schedule without initial_learning_rate: give the peak rate")
    reading.take("lr", *config, peak)
    if peak == "warmup_target":
        reading.along("lr", *config, "initial_learning_rate")
    for field, key in (("warmup_steps", "warmup_steps"), ("decay_steps", "decay_steps")):
        if reading.number(*config, key):
            reading.take(field, *config, key)
    if kind == "CosineDecay":
        reading.run["schedule"] = "cosine"
    elif kind == "ExponentialDecay":
        reading.run["schedule"] = "exponential"
    elif kind == "PiecewiseConstantDecay" or reading.get(*config, "first_decay_steps") is not None:
        reading.notes.append(f"{kind} counts steps that are not read: divide its boundaries by kappa.")
    reading.along("lr", *config, "end_learning_rate")


def _run(reading: Reading, where: Path) -> None:
    for key in ("global_clipnorm", "clipnorm"):
        if reading.number(*where, key):
            reading.take("clip_norm", *where, key)
            if key == "clipnorm":
                reading.notes.append("clipnorm clips each variable by itself: its norm falls as the whole gradient's does.")
            break
    if reading.number(*where, "clipvalue"):
        reading.notes.append("clipvalue: elements of the gradient fall like its norm, by 1 / sqrt(kappa); it is not changed.")
    if reading.switch(*where, "use_ema"):
        reading.take("ema_decay", *where, "ema_momentum", default=0.99)
        if reading.get(*where, "ema_overwrite_frequency") is not None:
            reading.notes.append("ema_overwrite_frequency counts steps: divide it by kappa.")
    if reading.number(*where, "decay"):
        reading.notes.append("decay (Keras 2) shrinks lr with every step: multiply it by kappa.")


FORMAT = Format(
    "keras",
    "Keras",
    ("json",),
    fits,
    read,
    irrelevant=("*config.name", "name", "*.layers.*.momentum", "*.layers.*.epsilon", "*.learning_rate.config.decay_rate"),
)
