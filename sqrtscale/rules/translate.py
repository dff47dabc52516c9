"""The same dynamics in another library's convention: what a field is (its kind) decides how its value moves.

With eps_in inside the root and eps outside, sqrt(v + eps_in) and sqrt(v) + eps agree for every v only where both are 0.
eps_in = eps^2 agrees where v is much larger and where it is much smaller; between them lies at most a factor sqrt(2),
at sqrt(v) = eps. A decay of lambda times lr is a decay of lr * lambda by itself, while lr is what it was at the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from .config import ParameterGroup, TrainingConfig
from .errors import FieldError, choice
from .exact import as_float
from .families import FAMILIES, LIBRARIES, Family, family
from .kind import Kind
from .kinds import DECAY_TIMES_LR, DECAY_WITHOUT_LR, L2_IN_GRADIENT, ROOT_MAGNITUDE, SQUARE_MAGNITUDE

TRANSLATED = ("adam", "adamw", "rmsprop", "rmsprop_centered")
ADAM = ("adam", "adamw")  # one update where nothing decays; Keras decays in both
TRAINS_WITH_TORCH = ("timm", "composer")  # where such a library has no optimizer of its own it takes torch.optim's

CONVERSIONS: dict[tuple[Kind, Kind], Callable[[Fraction, Fraction], Fraction | float]] = {  # of a value, beside its lr
    (ROOT_MAGNITUDE, SQUARE_MAGNITUDE): lambda eps, lr: eps * eps,
    (SQUARE_MAGNITUDE, ROOT_MAGNITUDE): lambda eps, lr: math.sqrt(eps),
    (DECAY_TIMES_LR, DECAY_WITHOUT_LR): lambda decay, lr: decay * lr,
    (DECAY_WITHOUT_LR, DECAY_TIMES_LR): lambda decay, lr: decay / lr,
}


@dataclass(frozen=True)
class Translated:
    """config: in the other convention; exact: every update is the same, up to rounding; notes: what is not, and why."""

    config: TrainingConfig
    exact: bool
    notes: tuple[str, ...] = ()


def translate(config: TrainingConfig, library: str) -> Translated:
    """Adam, AdamW or RMSprop in the convention of another library (a name in ``LIBRARIES``), groups and run included.

    Raises FieldError for an unknown library, an optimizer that it does not have, and a value that it cannot hold
    (L2 in the gradient for Keras, for example). Sources: the update equations of the families.
    """
    choice("library", library, LIBRARIES)
    source = family(config.optimizer)
    if source.library == library:
        return Translated(config, True)
    refusal = None
    approximate = []
    for target in _candidates(source, library):
        try:
            translated = _translated(config, source, target)
        except FieldError as error:
            refusal = refusal or error
            continue
        if translated.exact:
            return translated
        approximate.append(translated)
    if approximate:
        return approximate[0]
    raise refusal or FieldError("optimizer", source.name, f"has no counterpart in {LIBRARIES[library]}: give one of adam, "
                                "adamw, rmsprop, or keep its library")


def _candidates(source: Family, library: str) -> list[Family]:
    """Families of that library for the same updates: the same algorithm first, torch.optim's where it has none."""
    if source.algorithm not in TRANSLATED:
        return [source] if library in TRAINS_WITH_TORCH and source.library == "pytorch" else []
    alike = ADAM if source.algorithm in ADAM else (source.algorithm,)
    names = (library, "pytorch") if library in TRAINS_WITH_TORCH else (library,)
    candidates = [target for target in FAMILIES.values() if target.library in names and target.algorithm in alike]
    return sorted(candidates, key=lambda target: (target.algorithm != source.algorithm, names.index(target.library)))


def _translated(config: TrainingConfig, source: Family, target: Family) -> Translated:
    values = _values(config.hyperparameters, source, target)
    groups = []
    for group in config.groups:
        merged = _values({**config.hyperparameters, **group.values}, source, target)
        own = {name: value for name, value in merged.items() if name in group.values or value != values[name]}
        groups.append(ParameterGroup(group.name, own))
    translated = TrainingConfig(target.name, config.batch_size, values, config.total_steps, config.warmup_steps,
                                dict(config.run), tuple(groups))
    differences = _differences(config, source, target)
    return Translated(translated, not differences, (*differences, *_remarks(config, source, target)))


def _values(values: Mapping[str, float], source: Family, target: Family) -> dict[str, float]:
    """The values under the target's fields; a field that only one side has must be 0 on the other."""
    for name, value in values.items():
        if value and name not in target.fields:
            raise FieldError(name, value, _no_counterpart(name, value, source, target))
    return {name: _value(name, values.get(name, 0.0), values["lr"], source, target) for name in target.fields}


def _value(name: str, value: float, lr: float, source: Family, target: Family) -> float:
    if not value or source.fields[name].kind == target.fields[name].kind:
        return value
    convert = CONVERSIONS.get((source.fields[name].kind, target.fields[name].kind))
    if convert is None:
        raise FieldError(name, value, _no_counterpart(name, value, source, target))
    moved = as_float(convert(Fraction(repr(value)), Fraction(repr(lr))))
    if moved is None:
        raise FieldError(name, value, f"leaves the range of floating-point numbers in {target.label}: give an ordinary size")
    return moved


def _no_counterpart(name: str, value: float, source: Family, target: Family) -> str:
    """The rest of the sentence of a FieldError, with what to do instead."""
    kind = source.fields[name].kind
    instead = "give 0 for it, or keep its library"
    if kind == L2_IN_GRADIENT and target.library == "optax":
        instead = f"give 0, and chain optax.add_decayed_weights({value!r}) before the optimizer"
    elif kind == L2_IN_GRADIENT and target.library == "keras":
        instead = f"give 0, and regularize each layer with keras.regularizers.L2({value / 2!r}), which is half of it"
    elif kind in (DECAY_TIMES_LR, DECAY_WITHOUT_LR):
        instead = "give 0, and shrink the weights yourself before each step"
    return f"has no counterpart in {target.label}: {instead}"


def _all(config: TrainingConfig, name: str) -> list[float]:
    """The values of a field in the configuration and its groups."""
    return [config.hyperparameters.get(name, 0.0), *(group.values.get(name, 0.0) for group in config.groups)]


def _lr_moves(config: TrainingConfig) -> bool:
    """Whether the run says that lr is no constant."""
    run = config.of_the_run()
    changing = ("warmup_steps", "warmup_fraction", "decay_steps", "milestones", "gamma_per_step")
    return run.get("schedule", "constant") != "constant" or any(run.get(name) for name in changing)


def _differences(config: TrainingConfig, source: Family, target: Family) -> list[str]:
    """What is not the same in every update."""
    differences = []
    sides, either = (source, target), {source.library, target.library}
    if any(_all(config, "eps")) and source.fields["eps"].kind != target.fields["eps"].kind:
        differences.append("eps stands outside the root on one side and inside it on the other, and no value is the same for "
                           "every gradient. Its square inside the root differs most where sqrt(v) = eps, there by a factor "
                           "sqrt(2) of the step, and by less than 1% where sqrt(v) is more than 100 times larger or smaller.")
    if any(_all(config, "eps")) and "keras" in either and source.algorithm in ADAM:
        differences.append("Keras adds epsilon before the bias correction of v, which makes it count 1 / sqrt(1 - beta2^t) "
                           "times as much: the same once that correction is over, after some 1 / (1 - beta2) steps.")
    if "timm_rmsproptf" in (source.name, target.name):
        differences.append("RMSpropTF starts from v = 1 and the other side from v = 0: the same once alpha^t is small, after "
                           "some 1 / (1 - alpha) steps.")
    if _momentum_apart(config, sides) and _lr_moves(config):
        differences.append("PyTorch multiplies the momentum buffer by the lr of today, the other side each gradient by the lr "
                           "of its day: they differ by what lr moves in 1 / (1 - momentum) steps.")
    return differences


def _remarks(config: TrainingConfig, source: Family, target: Family) -> list[str]:
    """What is the same, but looks different."""
    remarks = []
    if source.algorithm != target.algorithm:
        remarks.append(f"The weight decay of {source.label} stands outside the gradient: that is {target.label}.")
    if "composer" in (source.library, target.library) and any(_all(config, "weight_decay")) and target.library != source.library:
        kinds = {source.fields["weight_decay"].kind, target.fields["weight_decay"].kind}
        if DECAY_WITHOUT_LR in kinds:
            remarks.append("Composer's decay follows lr / initial_lr and not lr: it is lr * weight_decay of AdamW at the start.")
    if _momentum_apart(config, (source, target)) and not _lr_moves(config):
        remarks.append("The momentum buffers hold lr on one side only: the same while lr is constant.")
    return remarks


def _momentum_apart(config: TrainingConfig, sides: tuple[Family, Family]) -> bool:
    """Whether there is a momentum whose buffer holds lr on one side only, as torch.optim.RMSprop's does not."""
    return any(_all(config, "momentum")) and len({side.library == "pytorch" for side in sides}) == 2
