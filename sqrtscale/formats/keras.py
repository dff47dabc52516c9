"""A Keras optimizer as JSON: its get_config() or serialize(), a model saved with compile_config, a model converted for tfjs.

Looked up: Keras 3, keras/src/optimizers; Keras 2.10, optimizers/optimizer_v2 (``decay`` in its configurations, ``lr`` in older
ones), whose RMSprop adds epsilon outside the root where there is no momentum, and which cannot accumulate. The batch is not in
it: fit(batch_size=...) counts the samples of all replicas.
"""

from __future__ import annotations

import re

from ..rules import FieldError
from ._document import Document, Path
from ._format import Format
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
RATES = ("learning_rate", "lr")
ARGUMENTS = {"beta1": "beta_1", "beta2": "beta_2", "alpha": "rho", "eps": "epsilon"}
OLD_RMSPROP = {"alpha": 0.9, "eps": 1e-7}  # what Keras has where torch's family has another default
BATCH = "Which batch_size goes to fit()? It counts the samples of all replicas."


def root(document: Document) -> Path:
    """Where the configuration of the optimizer stands."""
    for path in AROUND:
        rates = [document.get((*path, "config", rate)) for rate in RATES]
        if any(isinstance(rate, (int, float, dict)) for rate in rates) and document.has((*path, "class_name")):
            return (*path, "config")
    return ()


def fits(document: Document) -> tuple[str, ...]:
    where = root(document)
    table = document.get(where)
    rates = [rate for rate in RATES if isinstance(table, dict) and rate in table]
    if not rates:
        return ()
    seen = tuple(key for key in OWN if key in table)
    return ("class_name", f"config.{rates[0]}", *seen) if where else seen if len(seen) > 1 else ()


def read(document: Document) -> Reading:
    reading = Reading(document, "Keras")
    where = root(document)
    named = where and reading.get(*where[:-1], "class_name")
    key = (*where[:-1], "class_name") if named else (*where, "name")
    library, _, name = reading.text(*key, default="").lower().rpartition(">")
    if library == "addons":
        raise FieldError(str(key[-1]), name, "of tensorflow_addons decays weights without lr: fill in the form with "
                         "composer_adamw")
    reading.places["optimizer"] = key
    if re.sub("[^a-z]", "", name) in NAMES:  # names are made of the class's: rm_sprop, adam_1
        name = re.sub("[^a-z]", "", name)
    family = covered(str(key[-1]), name, NAMES)
    if reading.switch(*where, "amsgrad"):
        raise FieldError("amsgrad", True, "is not covered for Keras: set it to false, or use PyTorch's AMSGrad")
    centered = family == "keras_rmsprop" and reading.switch(*where, "centered")
    reading.chosen("keras_rmsprop_centered" if centered else family)
    old = {"lr", "decay"} & set(reading.table(*where))
    outside = old and family == "keras_rmsprop" and not reading.number(*where, "momentum")
    if outside:
        reading.chosen("rmsprop_centered" if centered else "rmsprop")
    _rate(reading, reading.first(*((*where, rate) for rate in RATES)))
    for field in reading.fields:
        if field != "lr":
            reading.take(field, *where, ARGUMENTS.get(field, field), default=OLD_RMSPROP.get(field) if outside else None)
    _run(reading, where)
    _batch(reading, where)
    _loss(reading, where[:-2])
    return reading


def _batch(reading: Reading, where: Path) -> None:
    """The batch of fit(), which is split over the replicas, times the passes that newer optimizers accumulate."""
    if "gradient_accumulation_steps" in reading.table(*where):
        reading.batch["devices"] = 1
        reading.ask("per_device", BATCH)
        reading.count("accumulation", *where, "gradient_accumulation_steps")
    else:
        reading.ask("batch_size", BATCH)


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
    irrelevant=("*config.name", "name", "ema_momentum", "*.config.ema_momentum", "*.layers.*.momentum", "*.layers.*.epsilon",
                "*.learning_rate.config.decay_rate"),
)
