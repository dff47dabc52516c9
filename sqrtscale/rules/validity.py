"""Where the rule may be relied on: the range of every decay, and what is out of range for a transfer.

The linear form 1 - kappa (1 - beta) has a number up to kappa = 1 / (1 - beta) [Malladi et al. 2022, the rule's range]; its
error grows with kappa (1 - beta) before that (``forecast``). A decay's half-life in samples is B ln(1/2) / ln(beta), which the
half-life form keeps exactly and the linear form to first order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .config import LARGEST_BATCH, TrainingConfig
from .errors import whole
from .kind import DecayForm
from .kinds import DECAY
from .scaled import MomentumForm, ScaledConfig
from .transfer import LARGE_STEP_FRACTION, scale

DRIFT_LOSS = 0.1  # share of the base's drift that a transfer may lose before it counts as out of range
BF16_HALF_UNIT = 2.0**-8  # half of the last of bfloat16's 8 significant bits, in units of the first
FIRST_MOMENTS = ("beta1", "momentum")  # their length decides nothing where noise dominates


@dataclass(frozen=True)
class DecayRange:
    """A decay at both batches.

    name, group: the field and its parameter group ("" for the optimizer's own); base, scaled: its values (``scaled`` is None
    where the form has no number); half_life, scaled_half_life: in samples, at base and target; largest_kappa, largest_batch: up
    to which the linear form has a number.
    """

    name: str
    group: str
    base: float
    scaled: float | None
    half_life: float
    scaled_half_life: float | None
    largest_kappa: float
    largest_batch: int


def half_life(beta: float, batch: int) -> float:
    """Samples after which an average with that decay per step has forgotten half: B ln(1/2) / ln(beta), 0 for beta = 0."""
    beta, batch = DECAY.check("beta", beta), whole("batch", batch, 1, 256, LARGEST_BATCH)
    return batch * math.log(0.5) / math.log(beta) if beta > 0 else 0.0


def decays(config: TrainingConfig, target: int, decay_form: DecayForm = "linear",
           momentum_form: MomentumForm = "kept") -> tuple[DecayRange, ...]:
    """Every decay that the rule moves, those of the parameter groups after the optimizer's own."""
    return _decays(scale(config, target, decay_form, momentum_form))


def largest_kappa(config: TrainingConfig, momentum_form: MomentumForm = "kept") -> float:
    """The largest kappa at which every decay has a number in the linear form; infinite without decays."""
    return min((decay.largest_kappa for decay in decays(config, config.batch_size, "linear", momentum_form)), default=math.inf)


def largest_batch(config: TrainingConfig, momentum_form: MomentumForm = "kept") -> int | None:
    """The largest target at which every decay has a number in the linear form; None without decays."""
    return min((decay.largest_batch for decay in decays(config, config.batch_size, "linear", momentum_form)), default=None)


def check(scaled: ScaledConfig) -> tuple[str, ...]:
    """What is out of range of a transfer, a sentence each; empty where the rule may be relied on.

    A field without a number (a decay, a length of less than a step); second moments that average over fewer than 10 steps at the
    larger of the two batches; more than 10% of the drift lost or gained by the forecast, unless lr is corrected for it.
    """
    if scaled.kappa == 1:
        return ()
    problems = [f"{row.name}: {row.warning}" for row in scaled.fields if row.scaled is None]
    problems += [f"{group.name}, {row.name}: {row.warning}" for group in scaled.groups for row in group.fields
                 if row.scaled is None]
    problems += [sentence for decay in _decays(scaled) if (sentence := _too_short(decay, scaled))]
    if scaled.forecast and not scaled.lr_corrected and abs(scaled.forecast.drift - 1) > DRIFT_LOSS:
        problems.append(f"Where noise dominates, the scaled run moves {scaled.forecast.drift:.2f} times as far per sample as the "
                        f"base, more than {DRIFT_LOSS:.0%} off: multiply lr by {scaled.forecast.lr_correction:.2f}, or take a "
                        "target nearer to the base.")
    return tuple(problems)


def bf16_state_warning(beta2: float) -> str:
    """What a second moment kept in bfloat16 loses with that decay, in a sentence; empty where it follows the gradient.

    A v between 2^e and 2^(e+1) is a multiple of 2^(e-7), so v - (1 - beta2) v rounds back to v where (1 - beta2) v < 2^(e-8).
    With 1 - beta2 < 2^-9 that is so for every v, and with 1 - beta2 < 2^-8 for a v right above 2^e, below which none falls then.
    """
    change = 1 - DECAY.check("beta2", beta2)
    if change >= BF16_HALF_UNIT:
        return ""
    return (f"1 - beta2 = {change:.3g} is lost in bfloat16, whose 8 significant bits round v - (1 - beta2) v back to v where "
            f"1 - beta2 is below 2^-8 = {BF16_HALF_UNIT:.2g}, so that the second moment cannot fall: keep the optimizer's state "
            "in float32, or round it stochastically.")


def _decays(scaled: ScaledConfig) -> tuple[DecayRange, ...]:
    base, target = scaled.base.batch_size, scaled.target_batch
    rows = [*(("", row) for row in scaled.fields), *((group.name, row) for group in scaled.groups for row in group.fields)]
    return tuple(DecayRange(
        name=row.name, group=group, base=row.base, scaled=row.scaled, half_life=half_life(row.base, base),
        scaled_half_life=None if row.scaled is None else half_life(row.scaled, target), largest_kappa=row.largest_kappa,
        largest_batch=math.floor(base / (1 - Fraction(repr(row.base)))),
    ) for group, row in rows if row.largest_kappa is not None)


def _too_short(decay: DecayRange, scaled: ScaledConfig) -> str:
    """What is said of a second moment that averages over 1 / (1 - beta) steps, few of them; empty for any other."""
    if decay.scaled is None or decay.name in FIRST_MOMENTS:
        return ""
    value = min(decay.base, decay.scaled)
    if 1 - value <= LARGE_STEP_FRACTION:
        return ""
    batch = scaled.base.batch_size if value == decay.base else scaled.target_batch
    where = f"{decay.group}, {decay.name}" if decay.group else decay.name
    return (f"{where} = {value:.6g} at batch {batch} averages over {1 / (1 - value):.2g} steps: the rule is an approximation for "
            f"slowly moving averages, so {1 / LARGE_STEP_FRACTION:.0f} steps or more are asked for.")
