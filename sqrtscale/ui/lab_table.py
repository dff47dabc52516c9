"""The table of switches: what each assumption that is switched off was predicted to do and did. Pure: results in, texts out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..lab import RIGHT, WeakError

SHOWN = ("E x", "E x^2")
C0_HEAD = f"C0 of {SHOWN[0]}, 10⁻⁴"
LAWS = {"gauss": "normal noise", "uniform": "bounded noise (uniform)", "laplace": "exponential tails (Laplace)",
        "student": "heavy tails (Student's t, ν = {})", "skewed": "skewed noise", "stable": "infinite variance (stable, α = {})"}
RULES = {"linear lr": "linear learning rate", "eps left": "ε left as it was", "betas left": "β left as they were",
         "unscaled": "nothing scaled", "lr kappa^(1/alpha)": "learning rate times κ^(1/α)"}
USUAL = "nothing: normal noise, torch's form, the square-root rule"


def law_label(noise: str) -> str:
    """A law for people: ``student:3`` is heavy tails (Student's t, ν = 3)."""
    name, _, parameter = noise.partition(":")
    return LAWS.get(name, name).format(parameter)


def switches(outcomes: Iterable[WeakError], algorithm: str) -> list[WeakError]:
    """What was measured of an algorithm on the quadratic: the usual first, laws by what they predict, forms, wrong rules."""
    kept = [outcome for outcome in outcomes if (made := outcome.experiment).algorithm == algorithm
            and made.problem == "quadratic" and (made.rule == RIGHT or len(set(made.betas)) < 2)]
    return sorted(kept, key=_order)


def rows(outcomes: Sequence[WeakError]) -> list[dict[str, str]]:
    """A row a result: the switch, what is predicted, and slopes and C0 as measured."""
    return [{"Switched": _switch(outcome), "Predicted": _predicted(outcome)}
            | {"Measured": _measured(outcome),
               C0_HEAD: "—" if _is_stable(outcome) else intercept(outcome, SHOWN[0])} for outcome in outcomes]


def slope(outcome: WeakError, name: str) -> str:
    """The slope with its interval, or the reason why there is none."""
    measured = outcome.slopes.get(name)
    if measured is not None:
        return f"slope {measured.slope:.2f} ({measured.low:.2f} to {measured.high:.2f})"
    if name not in outcome.needed:
        return "no slope, the error changes its sign"
    needed, chains = outcome.needed[name], outcome.experiment.chains
    would = "its constant may be 0" if needed is None else f"about {rounded(needed):,} would do"
    return f"not measurable with {chains:,} chains ({would})"


def intercept(outcome: WeakError, name: str) -> str:
    """C0 with its interval, in units of 10⁻⁴, and whether it is refuted that it is 0."""
    c0 = outcome.intercepts[name]
    value, low, high = (f"{1e4 * each:.1f}".replace("-0.0", "0.0") for each in (c0.c0, c0.low, c0.high))
    return f"{value} ({low} to {high}): {'not 0' if c0.refuted else 'may be 0'}"


def rounded(count: int) -> int:
    """A guess of a number of chains with the two digits that it has."""
    return int(float(f"{count:.2g}"))


def _order(outcome: WeakError) -> tuple[bool, bool, bool, bool, bool, float, str, str]:
    made = outcome.experiment
    return (_is_stable(outcome), made.rule != RIGHT, made.convention != "torch", made.noise != "gauss",
            len(set(made.betas)) > 1, -(outcome.predicted_slope or 0), made.noise, made.rule)


def _switch(outcome: WeakError) -> str:
    made = outcome.experiment
    switched = [RULES.get(made.rule, made.rule)] * (made.rule != RIGHT)
    switched += ["the paper's form (the old v)"] * (made.convention == "paper")
    switched += [law_label(made.noise)] * (made.noise != "gauss")
    switched += [f"decay rates {', '.join(f'{beta:g}' for beta in made.betas)}"] * (len(set(made.betas)) > 1)
    return ", ".join(switched) or USUAL


def _measured(outcome: WeakError) -> str:
    """Slopes; of noise without a variance, which has no SDE, how the spread at the largest batch compares with the base's."""
    if not _is_stable(outcome):
        texts = {name: slope(outcome, name) for name in SHOWN}
        if len(set(texts.values())) == 1:
            return f"{', '.join(map(_named, SHOWN))}: {texts[SHOWN[0]]}"
        return "; ".join(f"{_named(name)}: {text}" for name, text in texts.items())
    spread = {each.h: each.values[3][-1] - each.values[1][-1] for each in outcome.quantiles}  # interquartile, at the end
    made, largest = outcome.experiment, outcome.experiment.steps[-1]
    if not {made.base_step, largest} <= set(spread):
        return "its file has no quantiles"
    return f"spread at κ = {made.kappa_at(largest):g}: {spread[largest] / spread[made.base_step]:.3f} times the base's"


def _is_stable(outcome: WeakError) -> bool:
    return outcome.experiment.parts[2].is_stable


def _predicted(outcome: WeakError) -> str:
    if _is_stable(outcome):
        return f"no SDE; the spread {'stays' if outcome.experiment.rule == RIGHT else 'changes'}"
    if outcome.experiment.rule != RIGHT:
        return "C0 not 0"
    return f"slope {outcome.predicted_slope:g}, C0 = 0"


def _named(name: str) -> str:
    return name.replace("^2", "²")
