"""The scaled configuration as code or a file for the library that people train with, in the fewest digits that are
within 1e-12 of it.

To add one: a file in this folder with a function ``write(recipe) -> str``, and its line in SNIPPETS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...rules import FieldError, ParameterGroup, ScaledConfig, TrainingConfig, family
from ...rules.batch import Batch
from ...rules.digits import fewest_digits
from ...rules.signal import NoiseScaleCurve
from ...rules.translate import translate
from . import deepspeed, huggingface, keras, lightning, optax, pytorch, timm
from ._course import lr_course
from ._recipe import Recipe, commented, joined, shown


@dataclass(frozen=True)
class Snippet:
    """label: what people read; function: Recipe -> text; speaks: libraries whose conventions it writes as they are.

    A configuration of another library is translated into the first of those. language: for highlighting.
    """

    label: str
    function: Callable[[Recipe], str]
    speaks: tuple[str, ...] = ("pytorch", "timm", "composer")
    language: str = "python"


SNIPPETS: dict[str, Snippet] = {
    "pytorch": Snippet("PyTorch", pytorch.write),
    "huggingface": Snippet("Hugging Face Trainer", huggingface.write),
    "lightning": Snippet("Lightning", lightning.write),
    "deepspeed": Snippet("DeepSpeed", deepspeed.write, ("pytorch",), "json"),
    "optax": Snippet("optax", optax.write, ("optax",)),
    "keras": Snippet("Keras 3", keras.write, ("keras",)),
    "timm": Snippet("timm", timm.write, ("timm", "pytorch"), "bash"),
}


def snippet(scaled: ScaledConfig, library: str, batch: Batch | None = None, course: NoiseScaleCurve | None = None) -> str:
    """The scaled configuration for one of SNIPPETS; ``batch``: the parts that make up the target batch, if known.

    course: the noise scale over samples seen. lr then follows it, sqrt(kappa q) times the base's at every number of samples, by a
    table of factors in the code that multiplies whatever schedule there is; other values stay those of ``scaled``.
    A configuration of another library is translated, and comments say how exact that is. Where a field has no number
    there is nothing to make: the text is then all comments, with the values there are and the reason for each one that
    is missing. DeepSpeed's JSON holds no comments: read :func:`remarks` beside it. Raises FieldError for an unknown
    library, a batch of another size, a value or a group that the library cannot hold, and a course beside noise scales of groups.
    """
    if library not in SNIPPETS:
        raise FieldError("library", library, f"is not known: give one of {', '.join(SNIPPETS)}")
    if not scaled.complete:
        return _unfinished(scaled, "// " if SNIPPETS[library].language == "json" else "# ")
    return SNIPPETS[library].function(_recipe(scaled, library, batch, course))


def remarks(scaled: ScaledConfig, library: str, course: NoiseScaleCurve | None = None) -> tuple[str, ...]:
    """What a snippet without comments leaves out: the transfer, what a translation changed, the run, and factors on lr.

    Raises FieldError.
    """
    recipe = _recipe(scaled, library, None, course)
    return (*recipe.remarks, *recipe.left(), *recipe.course_in_words)


def native(optimizer: str) -> str:
    """The first of SNIPPETS that writes this optimizer in its own convention."""
    return next(name for name, about in SNIPPETS.items() if family(optimizer).library in about.speaks)


def _head(scaled: ScaledConfig) -> str:
    rule = scaled.rule + ", decays by half-life" * (scaled.decay_form == "half-life")
    return f"batch {scaled.base.batch_size} -> {scaled.target_batch} (kappa = {scaled.kappa:.8g}), {rule}"


def _recipe(scaled: ScaledConfig, library: str, batch: Batch | None, course: NoiseScaleCurve | None) -> Recipe:
    if batch is not None and batch.size != scaled.target_batch:
        allowed = f"makes {batch.size}, not the target batch {scaled.target_batch}: give parts that do"
        raise FieldError("batch", str(batch), allowed)
    speaks, config = SNIPPETS[library].speaks, scaled.config
    notes: tuple[str, ...] = ()
    if family(config.optimizer).library not in speaks:
        translated = translate(config, speaks[0])
        how = f"translated from {family(config.optimizer).label}, {'exact' if translated.exact else 'approximate'}"
        config, notes = translated.config, (how, *translated.notes)
    factors = None if course is None else lr_course(scaled, course)
    if factors is not None:
        notes = (*notes, factors.told)
    elif course is not None:
        notes = (*notes, f"the lr of {family(scaled.base.optimizer).label} does not follow the noise scale")
    return Recipe(_in_fewest_digits(config), batch, (_head(scaled), *notes), factors)


def _in_fewest_digits(config: TrainingConfig) -> TrainingConfig:
    """The same configuration without the digits that only arithmetic has put there."""
    def short(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: fewest_digits(value) if isinstance(value, float) else value for name, value in values.items()}

    groups = tuple(ParameterGroup(group.name, short(group.values)) for group in config.groups)
    return TrainingConfig(config.optimizer, config.batch_size, short(config.hyperparameters), run=short(config.of_the_run()),
                          groups=groups)


def _unfinished(scaled: ScaledConfig, sign: str) -> str:
    missing = [row for row in scaled.rows if row.scaled is None]
    reasons = commented((f"{row.name} has no number. {row.warning}" for row in missing), sign)
    known = [f"{sign}{row.name} = {shown(row.scaled)}" for row in scaled.fields if row.scaled is not None]
    return joined([f"{sign}{_head(scaled)}", f"{sign}No optimizer:"], reasons, [f"{sign}What is known:"], known,
                  [f"{sign}global batch size: {scaled.target_batch}"])


__all__ = ["SNIPPETS", "Snippet", "native", "remarks", "snippet"]
