"""What ``scale`` and ``check`` say with a noise scale: the noise-aware transfer, lr along a course, how far a target may go."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..rules import ScaledConfig, signal
from .shared import table

MOST_ROWS = 12  # of a course that is printed; --json has all


class NoiseAware(NamedTuple):
    """The noise-aware transfer; ends: the same by both ends of the noise scale's interval, where that is known."""

    transfer: ScaledConfig
    ends: tuple[ScaledConfig, ...] = ()


def problems(aware: NoiseAware) -> list[str]:
    """That the square-root rule is not the one for these batches, where the noise scale says so."""
    if abs(aware.transfer.square_root_share - 1) <= signal.WORTH_A_RULE:
        return []
    return [f"{aware.transfer.which_rule} Take the noise-aware values of sqrtscale scale --noise-scale."]


def limit(aware: NoiseAware) -> list[str]:
    """How far a target may go by the noise scale."""
    if not aware.transfer.follows_noise_scale:
        return []
    batch, noise = aware.transfer.base.batch_size, aware.transfer.noise_scale[""]
    reach = signal.reach(batch, noise)
    if aware.transfer.kappa < 1:
        down = signal.reach_down(batch, noise)
        furthest = f"down to kappa = {down:.3g}, batch {down * batch:.0f}" if down else "at every smaller batch"
        return [f"noise: the square root is right to within {signal.WORTH_A_RULE:.0%} {furthest}"]
    return [f"noise: the square root is right to within {signal.WORTH_A_RULE:.0%} up to kappa = {reach:.3g}, batch "
            f"{reach * batch:.0f}; at kappa = {noise / batch:.3g} the target reaches the noise scale of {noise:.3g}"]


def as_dict(aware: NoiseAware) -> dict[str, Any]:
    """What ``--json`` has of it: the noise scale as it was given, and the configuration, with lr along a course."""
    answer = aware.transfer.as_dict()
    config = dict(answer["scaled"])
    if "lr_factors" in answer:
        config["lr_factors"] = answer["lr_factors"]
    if aware.ends:
        config["lr_factor_between"] = sorted(map(_lr_factor, aware.ends))
    return {"noise_scale": answer["noise_scale"], "noise_aware": config}


def lines(aware: NoiseAware) -> list[str]:
    """What the noise scale says about the two transfers, and lr along its course."""
    transfer = aware.transfer
    average = " on average" if transfer.course else ""
    said = ["", f"noise scale {transfer.noise_scale['']:.6g}{average}: {transfer.which_rule}"]
    if aware.ends:
        factor, (low, high) = _lr_factor(transfer), sorted(map(_lr_factor, aware.ends))
        said.append(f"lr: {factor:.3g} times the base's, by its 95% interval between {low:.3g} and {high:.3g} times")
    return said + _along(aware)


def _along(aware: NoiseAware) -> list[str]:
    """The factors on lr along a course as a table, a few of them where it has many points."""
    transfer, course = aware.transfer, aware.transfer.course
    if course is None or not transfer.follows_noise_scale:
        return []
    rows = []
    for i, (samples, factor) in enumerate(transfer.lr_factors):
        bounds = sorted(end.lr_factors[i][1] for end in aware.ends)
        between = [" to ".join(f"{bound:.4g}" for bound in bounds)] if bounds else []
        rows.append((f"{samples:.8g}", f"{course.at(samples):.4g}", f"{factor:.4g}", *between))
    last = len(rows) - 1
    count = min(last, MOST_ROWS - 1)
    shown = [rows[round(last * i / max(count, 1))] for i in range(count + 1)]
    more = f" ({len(rows) - len(shown)} more points: --json)" if len(rows) > len(shown) else ""
    head = ("samples", "noise scale", "lr factor", *(["95% interval"] if aware.ends else []))
    return ["", *table([head, *shown]),
            f"lr factor: on the base's lr, its logarithm straight between the points{more}; the values above: of the average"]


def _lr_factor(scaled: ScaledConfig) -> float:
    factor: float = next(row.scaled / row.base for row in scaled.fields if row.name == "lr")
    return factor
