"""Verdicts in words: one sentence on each arm, and a first line for a person who knows nothing of the theory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .equivalence import MOST_PAIRS, Functional
from .gaps import Gaps, samples_ahead

if TYPE_CHECKING:
    from .verdict import Verdict

WHERE = {"end": "it ends", "whole curve": "over the whole curve it lies", "first quarter": "over the first quarter it lies"}


def sentence(found: Verdict, gaps: Gaps, why: str) -> str:
    """What is said of an arm, in Markdown; why: what makes it no test (the regime, or the controls by name)."""
    arm, margin = f"**{found.arm}**", f"{found.margin.value:.2g} {found.margin.unit}"
    if found.reason == "signal dominates":
        return (f"{arm} is not a test of the rule: the signal dominates the gradient noise here ({why}), and the square-root "
                f"rule is made for noise.{_and_ends(found, gaps)}")
    if found.outcome == "not a test":
        return (f"{arm} is not a test of the rule: even the controls ({why}) could not be told from base, so a wrong rule would "
                f"not have been noticed either.{_and_ends(found, gaps)}")
    if found.reason == "no power":
        return (f"{arm} cannot be told yet: it lies within {margin} of base, but no control ({why}) could be told from base so "
                f"far, so a wrong rule might not have been noticed.{_and_ends(found, gaps)}"
                f"{_more(found, 'would decide about a control')}")
    if found.outcome == "matches":
        return f"{arm} matches base within {margin}: {_place(found.functionals[-1], found)}{_size(found, gaps)}."
    if found.outcome == "differs" and found.reason != "diverged":
        clearest = min(reversed(found.functionals), key=lambda one: (not one.beyond, one.name != "end", one.p_beyond))
        return f"{arm} differs from base by more than {margin}: {_place(clearest, found)}{_size(found, gaps, clearest)}."
    if found.reason == "diverged":
        counts = f"{_runs(gaps.arm_diverged, gaps.runs)} diverged, {gaps.base_diverged} of base"
        said = "differs from base" if found.outcome == "differs" else "cannot be told from base yet"
        chance = "" if found.outcome == "differs" else ", which may be chance: train more seeds"
        return f"{arm} {said}: {counts}{chance}."
    return f"{arm} cannot be told yet: {_open(found, gaps, margin)}"


def _open(found: Verdict, gaps: Gaps, margin: str) -> str:
    """Why nothing is shown, and what would decide."""
    if not found.pairs:
        return "no seed has a curve of both arms."
    if found.pairs == 1:
        return f"{_place(found.functionals[-1], found)}, and one seed cannot tell a difference from chance; train at least 3."
    inside = all(abs(one.difference) < found.margin.value for one in found.functionals)
    widest = max(found.functionals, key=lambda one: one.p_within if inside else -one.p_beyond)
    there = widest.low > 0 or widest.high < 0
    what = f"a difference is there, but not shown to be more than {margin} or less" if there else \
        f"neither a difference within {margin} nor one beyond is shown"
    more = _more(found, "would decide") or (
        f" Not even {MOST_PAIRS:,} seeds would decide at this margin: set another one, or train longer.")
    return f"{_place(widest, found)}{_size(found, gaps, widest)}; {what}.{more}"


def _place(one: Functional, found: Verdict) -> str:
    """Where the arm lies against base in one functional, with its interval."""
    unit = found.margin.unit
    side = "above" if one.difference > 0 else "below"
    said = f"{WHERE[one.name]} {abs(one.difference):.3g} {unit} {side} base" if one.difference else f"{WHERE[one.name]} with base"
    if one.pairs < 2:
        return said
    confidence = f"{100 * (1 - 2 * one.level):.3g}%"
    return f"{said} ({confidence} interval {one.low:+.3g} to {one.high:+.3g}, {one.pairs} seeds)"


def _size(found: Verdict, gaps: Gaps, named: Functional | None = None) -> str:
    """The difference at the end in spreads between seeds and in samples, each where it is known.

    named: the functional that was just named; the end where none is given.
    """
    if named is not None and named.name != "end":
        return ""
    said = "" if math.isnan(found.effect_sd) else f"; that is {_short(abs(found.effect_sd))} standard deviations of base seeds"
    ahead, why_not = samples_ahead(found.functionals[-1].difference, gaps.base, gaps.samples)
    if ahead is None:
        return f"{said}, {why_not}"
    return f"{said}, {_short(100 * abs(ahead) / gaps.samples[-1])}% of the samples {'ahead' if ahead > 0 else 'behind'}"


def _and_ends(found: Verdict, gaps: Gaps) -> str:
    """What was seen at the end, as a sentence of its own."""
    if not found.functionals:
        return ""
    text = _place(found.functionals[-1], found)
    return f" {text[0].upper()}{text[1:]}{_size(found, gaps) if found.pairs > 1 else ''}."


def _more(found: Verdict, use: str) -> str:
    n = found.further_seeds
    return "" if n is None else f" About {n:,} more seed{'s' * (n > 1)} {use}."


def _short(value: float) -> str:
    """Two digits, and no exponent for a large number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _runs(some: int, all_of_them: int) -> str:
    return f"{some} of {all_of_them} run{'s' * (all_of_them > 1)}"


def headline(verdicts: Mapping[str, Verdict]) -> str:
    """The first line of a result: does the scaled configuration do what the base configuration does?"""
    found = verdicts.get("scaled")
    if found is None or (not found.pairs and found.reason != "diverged"):
        return "There are not yet both a base and a scaled run to compare."
    apart = f"{found.margin.value:.2g} {found.margin.unit}"
    seeds = f"{found.pairs} seed{'s' * (found.pairs > 1)}"
    if found.reason == "diverged":
        return ("No: training with the scaled settings breaks down where the base settings train." if found.outcome == "differs"
                else "Not decided: some runs broke down, too few to tell whether that was chance. Train more seeds.")
    if found.outcome == "matches":
        told = [name for name in ("unscaled", "linear lr") if name in verdicts and verdicts[name].outcome == "differs"]
        also = f" The same test does tell {' and '.join(told)} from the base run." if told else (
            " No other setting was trained for comparison, so whether this run would have shown a wrong one is not known.")
        return f"Yes: the scaled settings train like the base settings, to within {apart} ({seeds}).{also}"
    if found.outcome == "differs":
        end = found.functionals[-1]
        where = f"ends {abs(end.difference):.2g} {found.margin.unit} {'above' if end.difference > 0 else 'below'} the base run" \
            if end.beyond else "takes another course on its way"
        return f"No: the scaled run {where}, more than the {apart} that would pass as equal ({seeds})."
    if found.reason == "signal dominates":
        return ("This run does not test the scaling: at this stage of training larger batches do not yet average out much noise, "
                "which the scaling is made for. Start from a trained model, or choose smaller batches.")
    if found.outcome == "not a test":
        return ("This run does not test the scaling: even deliberately wrong settings trained like the base settings here. Train "
                "longer, or choose batch sizes further apart.")
    if found.reason == "no power":
        return (f"Not decided yet: the scaled settings train like the base settings, to within {apart}, but so far not even "
                f"wrong settings can be told from them ({seeds}).{_more(found, 'would decide')}")
    if found.pairs == 1:
        return "Not decided yet: one seed cannot tell a difference from chance. Train at least 3."
    if found.further_seeds is None:
        return f"Not decided, and more seeds would hardly help: the difference is close to the {apart} that would pass as equal."
    return f"Not decided yet: {seeds} are too few. About {found.further_seeds:,} more would decide."
