"""The arms of a calibration: which configurations compete with base, by name.

A name is all that a user types and all that must be kept: ``make_arm(name, scaled)`` gives the same arm again. Besides the
names in ``KINDS`` there are values typed in, ``own: lr=1e-3 beta2=0.99``, and every arm at the target batch also at another
batch, ``scaled 2x`` or ``unscaled 1/4x``, where the number is that arm's kappa.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, Literal, get_args

from .rules import (
    DECAY_FORMS,
    FAMILIES,
    DecayForm,
    FieldError,
    MomentumForm,
    ParameterGroup,
    ScaledConfig,
    TrainingConfig,
    family,
    scale,
)
from .rules.alternatives import RULES, alternatives
from .rules.errors import choice, whole
from .rules.exact import SAME
from .rules.kind import PAPER
from .rules.signal import excess, noise_scale
from .training.optimizers import TRAINED

LONGEST_NAME = 80  # characters; what the store keeps
MOST_SVAG = 16  # l^2 as many steps: 256 times those of the base
ALREADY = "is what the scaled arm is already: give another, for example sqrt lr, or leave it out"
DEFAULT_ARMS = ("base", "scaled", "unscaled", "linear lr")
SVAG = re.compile(r"svag ([1-9]\d*)")
AT = re.compile(r"(?P<name>.+) (?P<kappa>[1-9]\d*(/[1-9]\d*)?)x")
FOLLOWING = "noise-aware schedule"
NOISE_AWARE = re.compile(r"noise-aware (?P<noise>[^ ]+)(?P<values>( [^ =]+=[^ ]*)*)")
OWN = re.compile(r"(?P<name>[^:]+): *(?P<values>.+)")

# What an arm is for. base; rule: the full rule under test, at whatever batch; noise-aware: the transfer by a measured noise
# scale, a test whatever dominates; form: the full rule in the other decay form; control: should differ from base, so it shows
# whether a calibration can tell arms apart; rival: another published rule, which may well agree with base; ablation: the full
# rule without one of its parts; svag; own: values typed in.
Group = Literal["base", "rule", "noise-aware", "form", "control", "rival", "ablation", "svag", "own"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class Arm:
    """One configuration under comparison, by name.

    noise_scale: in samples, of a noise-aware arm, whose second moment moves by it at the branch point; 0 for any other;
    measured: the noise scale is what base's own runs measure as they train, and the hyperparameters follow it (``config`` is
    then where they go as noise comes to dominate);
    svag: 0 for ordinary steps; l for the steps of SVAG at noise scale l, whose gradient is r1 g1 + r2 g2 of two batches;
    group: what the arm is for, the same at every batch.
    """

    name: str
    config: TrainingConfig
    svag: int = 0
    group: Group = "own"
    noise_scale: float = 0.0
    measured: bool = False

    @property
    def batch_size(self) -> int:
        """Its global batch size."""
        return self.config.batch_size

    def excess(self, base_batch: int, measured: float = 0.0) -> float:
        """q of ``sqrtscale.rules.signal`` for this arm: 1 for every arm that takes the noise to dominate.

        measured: the noise scale by now, for an arm that follows it.
        """
        noise = measured if self.measured else self.noise_scale
        return excess(base_batch, self.config.batch_size, noise) if noise else 1.0

    @property
    def samples_per_step(self) -> Fraction:
        """Samples of the base run's time that one step stands for: B, and B / l^2 with SVAG."""
        return Fraction(self.config.batch_size, self.svag**2 or 1)

    @property
    def work(self) -> int:
        """Samples that are drawn for each sample of time: 1, and 2 l^2 with SVAG."""
        return 2 * self.svag**2 or 1

    def as_dict(self) -> dict[str, Any]:
        """JSON types; :meth:`from_dict` reads them back."""
        special = {name: getattr(self, name) for name in ("svag", "noise_scale", "measured") if getattr(self, name)}
        return {"name": self.name, "config": self.config.as_dict(), "group": self.group, **special}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Arm:
        """The inverse of :meth:`as_dict`, also of an arm that was stored before arms knew their group; raises FieldError."""
        name = values["name"]
        group = choice("group", values["group"], GROUPS) if "group" in values else group_of(name)
        noise = noise_scale(values["noise_scale"]) if "noise_scale" in values else 0.0
        return cls(name, TrainingConfig.from_dict(values["config"]), values.get("svag", 0), group, noise,
                   values.get("measured", False))


@dataclass(frozen=True)
class ArmKind:
    """name: what users type; description: what they read, in a sentence; group: of its arms;

    make: the arm for a transfer, whose group ``make_arm`` fills in; raises FieldError where that transfer has none.
    """

    name: str
    description: str
    group: Group
    make: Callable[[ScaledConfig], Arm]


def make_arm(name: str, scaled: ScaledConfig) -> Arm:
    """The arm of that name for a transfer; raises FieldError for an unknown name, or where the transfer has no such arm."""
    name = spaced(name)
    if name in KINDS:
        return replace(KINDS[name].make(scaled), group=_group(KINDS[name], scaled))
    if svag := SVAG.fullmatch(name):
        return replace(_svag(name, whole("arms", int(svag[1]), 1, 2, MOST_SVAG), scaled), group="svag")
    if aware := NOISE_AWARE.fullmatch(name):
        return _noise_aware(name, aware["noise"], aware["values"], scaled)
    if at := AT.fullmatch(name):
        return _at_another_batch(at["name"], Fraction(at["kappa"]), scaled)
    if own := OWN.fullmatch(name):
        return Arm(name, _own(own["values"], scaled), group="own")
    raise FieldError("arms", name, f"is not an arm: give any of {', '.join(KINDS)}, own values (own: lr=1e-3 beta2=0.99), "
                                   "or one of them at another kappa (scaled 2x)")


def _group(kind: ArmKind, scaled: ScaledConfig) -> Group:
    """The kind's, but of a rival that stands in for a control: sqrt lr where the rule under test is the linear one."""
    return "control" if kind.group == "rival" and kind.name in default_arms(scaled) else kind.group


def group_of(name: str) -> Group:
    """The group of the arm that ``make_arm`` makes of that name: for arms that were stored without it."""
    if SVAG.fullmatch(name):
        return "svag"
    if NOISE_AWARE.fullmatch(name):
        return "noise-aware"
    at = AT.fullmatch(name)
    kind = KINDS.get(at["name"] if at else name)
    return kind.group if kind else "own"


def spaced(name: str) -> str:
    """A name as it is kept, with single blanks; raises FieldError for what is no text, or too long for one."""
    if not isinstance(name, str):
        raise FieldError("arms", name, f"is not text: give the name of an arm, for example {DEFAULT_ARMS[-1]}")
    kept = " ".join(name.split())
    if len(kept) > LONGEST_NAME:
        raise FieldError("arms", kept, f"is too long: give at most {LONGEST_NAME} characters")
    return kept


def offered(scaled: ScaledConfig) -> tuple[ArmKind, ...]:
    """The kinds of ``KINDS`` that this transfer has, in order: not, for example, the ablation of a field that is 0."""
    kinds = []
    for kind in KINDS.values():
        try:
            kind.make(scaled)
        except FieldError:
            continue
        kinds.append(kind)
    return tuple(kinds)


def default_arms(scaled: ScaledConfig) -> tuple[str, ...]:
    """``DEFAULT_ARMS``; with sqrt lr for a control where linear lr is the rule itself, as it is SGD's."""
    if family(scaled.base.optimizer).rule == "linear rule":
        return tuple("sqrt lr" if name == "linear lr" else name for name in DEFAULT_ARMS)
    return DEFAULT_ARMS


def frontier_name(kappa: Fraction) -> str:
    """The name of the arm of the full rule at that kappa: ``scaled 2x``, ``scaled 1/2x``."""
    return f"scaled {kappa}x"


def svag_weights(ell: int) -> tuple[float, ...]:
    """r1 and r2 = (1 +- sqrt(2 l^2 - 1)) / 2, so r1 + r2 = 1 and r1^2 + r2^2 = l^2; a lone 1 for ordinary steps (l = 0).

    r1 g1 + r2 g2 of two independent gradients has the mean of one and l^2 times its covariance.
    """
    root = math.sqrt(2 * ell**2 - 1) if ell else 0.0
    return ((1 + root) / 2, (1 - root) / 2) if ell else (1.0,)


def svag_config(base: TrainingConfig, ell: int, momentum_form: MomentumForm = "kept") -> TrainingConfig:
    """The hyperparameters of SVAG at noise scale l [Malladi et al. 2022, SVAG for RMSprop and Adam; Li, Malladi, Arora 2021].

    lr / l, beta -> 1 - (1 - beta) / l^2, eps l, l^2 as many steps: the square-root rule at kappa = 1 / l^2, because a gradient
    with l times the noise is one of an l^2 times smaller batch. A decoupled weight decay becomes lambda / l (lr lambda per time
    kept), one in the gradient stays. SGD, whose time per step is lr, takes lr / l^2 by its own rule [Li et
    al., with their l the l^2 here]. The batch size is the base's: the noise comes from r1 g1 + r2 g2.
    """
    as_if = replace(base, batch_size=base.batch_size * ell**2)
    return scale(as_if, base.batch_size, "linear", momentum_form).config


def _base(scaled: ScaledConfig) -> Arm:
    return Arm("base", scaled.base)


def _rule(scaled: ScaledConfig) -> Arm:
    return Arm("scaled", scaled.config)


def _other_form(name: str, form: DecayForm, scaled: ScaledConfig) -> Arm:
    if scaled.decay_form == form:
        raise FieldError("arms", name, f"is what the scaled arm is already: give {FORMS[_other(form)]}")
    return _unlike_scaled(name, scale(scaled.base, scaled.target_batch, form, scaled.momentum_form, scaled.lr_corrected).config,
                          scaled)


def _other(form: DecayForm) -> DecayForm:
    return next(other for other in DECAY_FORMS if other != form)


def _rival(name: str, rule: str, scaled: ScaledConfig) -> Arm:
    """The arm by another published rule."""
    configs = {alternative.name: alternative.config for alternative in alternatives(scaled.base, scaled.target_batch)}
    if rule not in configs:
        label = family(scaled.base.optimizer).label
        raise FieldError("arms", name, f"is no arm of {label}, which has no second moment: leave it out")
    if rule == "linear lr" and rule not in default_arms(scaled):  # also where the scaled arm has another momentum for it
        raise FieldError("arms", name, ALREADY)
    return _unlike_scaled(name, configs[rule], scaled)


def _unlike_scaled(name: str, config: TrainingConfig, scaled: ScaledConfig) -> Arm:
    """The arm with that configuration; raises FieldError where its optimizer's hyperparameters are those of the scaled arm."""
    if scaled.kappa != 1 and scaled.complete and all(
            math.isclose(value, scaled.config[field], rel_tol=SAME) for field, value in config.hyperparameters.items()):
        raise FieldError("arms", name, ALREADY)
    return Arm(name, config)


def _without(name: str, field: str, scaled: ScaledConfig) -> Arm:
    """The full rule with one hyperparameter as it was."""
    value, moved = (config.hyperparameters.get(field, config.run.get(field)) for config in (scaled.base, scaled.config))
    if not value or value == moved:
        raise FieldError("arms", name, f"is no ablation here: {field} is 0, or the rule does not move it; leave it out")
    groups = tuple(ParameterGroup(group.name, {**group.values, **({field: own.values[field]} if field in own.values else {})})
                   for group, own in zip(scaled.config.groups, scaled.base.groups, strict=True))
    return Arm(name, replace(_with(scaled.config, {field: value}), groups=groups))


def _svag(name: str, ell: int, scaled: ScaledConfig) -> Arm:
    return Arm(name, svag_config(scaled.base, ell, scaled.momentum_form), svag=ell)


def _noise_aware(name: str, text: str, values: str, scaled: ScaledConfig) -> Arm:
    """The transfer by that noise scale, by which its second moment moves as well, with other values typed in."""
    try:
        noise = noise_scale(float(text))
    except ValueError:
        raise FieldError("arms", name, "names no noise scale: give it in samples, for example noise-aware 567") from None
    config = scale(scaled.base, scaled.target_batch, scaled.decay_form, scaled.momentum_form, noise_scale=noise).config
    if not family(scaled.base.optimizer).follows_noise_scale:
        raise FieldError("arms", name, ALREADY)
    return Arm(name, _with(config, _assigned(values)), group="noise-aware", noise_scale=noise)


def _following(scaled: ScaledConfig) -> Arm:
    """The transfer by the noise scale as base's runs measure it."""
    forms = scaled.decay_form, scaled.momentum_form
    if not family(scaled.base.optimizer).follows_noise_scale:
        raise FieldError("arms", FOLLOWING, ALREADY)
    return Arm(FOLLOWING, scale(scaled.base, scaled.target_batch, *forms).config, measured=True)


def _at_another_batch(kind: str, kappa: Fraction, scaled: ScaledConfig) -> Arm:
    """An arm at the batch of another kappa."""
    name, batch = f"{kind} {kappa}x", kappa * scaled.base.batch_size
    if batch.denominator != 1:
        raise FieldError("arms", name, f"has no whole batch: {kappa} times {scaled.base.batch_size} is {float(batch):g}; "
                         "give another number")
    if group_of(kind) in ("base", "svag") or AT.fullmatch(kind):
        raise FieldError("arms", name, "has one batch only: give an arm at the target batch before the number, as in scaled 2x")
    there = scale(scaled.base, int(batch), scaled.decay_form, scaled.momentum_form, scaled.lr_corrected)
    return replace(make_arm(kind, there), name=name)


def _own(text: str, scaled: ScaledConfig) -> TrainingConfig:
    """Values typed in at the target batch; what is not among them is as in the scaled arm."""
    return _with(scaled.config, _assigned(text))


def _assigned(text: str) -> dict[str, float]:
    """Field -> number of ``lr=1e-3 beta2=0.99``."""
    values = {}
    for assignment in text.replace(",", " ").split():
        field, _, value = assignment.partition("=")
        try:
            values[field] = float(value)
        except ValueError:
            allowed = f"holds {assignment!r}, which sets nothing: give FIELD=NUMBER, for example lr=1e-3"
            raise FieldError("arms", text, allowed) from None
    return values


def _with(config: TrainingConfig, values: dict[str, float]) -> TrainingConfig:
    """The configuration with other values of some hyperparameters, or of clip_norm; every group's lr keeps its ratio to lr."""
    run = {name: value for name, value in values.items() if name == "clip_norm"}
    own = {name: value for name, value in values.items() if name not in run}
    ratio = own.get("lr", config["lr"]) / config["lr"]
    groups = tuple(ParameterGroup(group.name, {name: value * ratio if name == "lr" else value
                                               for name, value in group.values.items()}) for group in config.groups)
    return replace(config, hyperparameters={**config.hyperparameters, **own}, run={**config.run, **run}, groups=groups)


def _catalogue() -> dict[str, ArmKind]:
    ideas = {rule.name: f"{rule.idea.rstrip('.')} [{rule.source}]" for rule in RULES}
    rivals = {"sqrt lr": "sqrt lr", "lr constant + beta2 half-life": "half-life"}  # name of the arm -> of the rule
    # In the order of the families' own tables: lr, beta1, beta2, alpha ...
    fields = dict.fromkeys((*(field for name in TRAINED for field in FAMILIES[name].fields), "clip_norm"))
    kinds = [
        ArmKind("base", "The base configuration at the base batch size.", "base", _base),
        ArmKind("scaled", "The full rule at the target batch size: the square-root rule, or SGD's linear one.", "rule", _rule),
        ArmKind("unscaled", "Control: the base hyperparameters at the target batch size.", "control",
                partial(_rival, "unscaled", "unscaled")),
        ArmKind("linear lr", "Control: kappa times the learning rate, everything else as in the base.", "control",
                partial(_rival, "linear lr", "linear lr")),
        ArmKind("half-life", "The full rule with decays by beta^kappa, which keeps half-lives in samples exactly.", "form",
                partial(_other_form, "half-life", "half-life")),
        ArmKind("linear form", "The full rule with decays by 1 - kappa (1 - beta), the paper's own form.", "form",
                partial(_other_form, "linear form", "linear")),
        *(ArmKind(name, f"Another rule: {ideas[rule]}.", "rival", partial(_rival, name, rule))
          for name, rule in rivals.items()),
        *(ArmKind(f"without {field}", f"The full rule, but {field} as in the base [the ablation of {PAPER}].", "ablation",
                  partial(_without, f"without {field}", field)) for field in fields),
        ArmKind(FOLLOWING, "The noise-aware transfer: lr and what moves with it follow the noise scale that base's runs measure "
                "as they train; a test whatever dominates the gradient [derived by us].", "noise-aware", _following),
        ArmKind("svag 1", f"The base run on other samples, the first of the SVAG series [{PAPER}].", "svag",
                partial(_svag, "svag 1", 1)),
        *(ArmKind(f"svag {ell}", f"The base run in {ell**2} times as many steps with the same SDE: where it agrees with svag 1, "
                  f"the SDE describes the run [{PAPER}].", "svag", partial(_svag, f"svag {ell}", ell)) for ell in (2, 4)),
    ]
    return {kind.name: kind for kind in kinds}


FORMS: dict[DecayForm, str] = {"half-life": "half-life", "linear": "linear form"}  # decay form -> the arm with it
KINDS: dict[str, ArmKind] = _catalogue()
