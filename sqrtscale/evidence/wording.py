"""Verdicts in words: one sentence on each arm, and a first line for a person who knows nothing of the theory."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .equivalence import MOST_PAIRS, Functional, confidence
from .pairing import FunctionalName, PairedCurves, samples_ahead
from .verdict import Verdict

WHERE: dict[FunctionalName, str] = {
    "end": "it ends", "whole curve": "over the whole curve it lies", "first quarter": "over the first quarter it lies"}


def sentence(verdict: Verdict, paired: PairedCurves, no_test: str = "") -> str:
    """What is said of an arm, in Markdown; no_test: what makes it no test, where it is none (the regime, or the controls)."""
    arm, margin, end = f"**{verdict.arm}**", _margin(verdict), verdict.end
    if verdict.reason == "signal dominates":
        return (f"{arm} is not a test of the rule: the signal dominates the gradient noise here ({no_test}), and the square-root "
                f"rule is made for noise.{_and_ends(verdict, paired)}")
    if verdict.outcome == "not a test":
        return (f"{arm} is not a test of the rule: even the controls ({no_test}) could not be told from base, so a wrong rule "
                f"would not have been noticed either.{_and_ends(verdict, paired)}")
    if verdict.reason == "no power":
        return (f"{arm} cannot be told yet: it lies within {margin} of base, but no control ({no_test}) could be told from base "
                f"so far, so a wrong rule might not have been noticed.{_and_ends(verdict, paired)}"
                f"{_more(verdict, 'would decide about a control')}")
    if verdict.outcome == "matches" and end:
        return f"{arm} matches base within {margin}: {_place(end, verdict)}{_size(end, verdict, paired)}."
    if verdict.reason == "diverged":
        counts = f"{_runs(paired.arm_diverged, paired.runs)} diverged, {paired.base_diverged} of base"
        judged = "differs from base" if verdict.outcome == "differs" else "cannot be told from base yet"
        chance = "" if verdict.outcome == "differs" else ", which may be chance: train more seeds"
        return f"{arm} {judged}: {counts}{chance}."
    if verdict.outcome == "differs":
        clearest = _clearest(verdict)
        return f"{arm} differs from base by more than {margin}: {_place(clearest, verdict)}{_size(clearest, verdict, paired)}."
    return f"{arm} cannot be told yet: {_open(verdict, paired)}"


def _clearest(verdict: Verdict) -> Functional:
    """What shows best that the arm differs: the end where that does, otherwise the functional with the smallest p."""
    return min(reversed(verdict.functionals), key=lambda test: (not test.beyond, test.name != "end", test.p_beyond))


def _open(verdict: Verdict, paired: PairedCurves) -> str:
    """What keeps either from being shown, and what would decide."""
    if verdict.end is None:
        return "no seed has a curve of both arms."
    if verdict.pairs == 1:
        return f"{_place(verdict.end, verdict)}, and one seed cannot tell a difference from chance; train at least 3."
    inside = all(abs(test.difference) < verdict.margin.value for test in verdict.functionals)
    widest = max(verdict.functionals, key=lambda test: test.p_within if inside else -test.p_beyond)
    margin = _margin(verdict)
    if max(widest.low, -widest.high) > verdict.margin.value:
        open_question = (f"its interval lies outside the margin of {margin}, of which {verdict.pairs} seeds know too little to "
                         "call it a difference: base's own spread is part of it")
    elif widest.low > 0 or widest.high < 0:
        open_question = f"a difference is there, but not shown to be more than {margin} or less"
    else:
        open_question = f"neither a difference within {margin} nor one beyond is shown"
    more = _more(verdict, "would decide") or (
        f" Not even {MOST_PAIRS:,} seeds would decide at this margin: set another one, or train longer.")
    return f"{_place(widest, verdict)}{_size(widest, verdict, paired)}; {open_question}.{more}"


def _margin(verdict: Verdict) -> str:
    return f"{verdict.margin.value:.2g} {verdict.margin.unit}"


def _place(functional: Functional, verdict: Verdict) -> str:
    """Where the arm lies against base in one functional, with its interval."""
    place = f"{WHERE[functional.name]} with base"
    if functional.difference:
        side = "above" if functional.difference > 0 else "below"
        place = f"{WHERE[functional.name]} {abs(functional.difference):.3g} {verdict.margin.unit} {side} base"
    if functional.pairs < 2:
        return place
    interval = f"{confidence(functional.level)} interval {functional.low:+.3g} to {functional.high:+.3g}"
    return f"{place} ({interval}, {functional.pairs} seeds)"


def _size(functional: Functional, verdict: Verdict, paired: PairedCurves) -> str:
    """A difference at the end in spreads between seeds and in samples, each where it is known; "" for one on the way."""
    if functional.name != "end":
        return ""
    effect = verdict.effect_sd
    in_spreads = "" if math.isnan(effect) else f"; that is {_short(abs(effect))} standard deviations of base seeds"
    ahead, reason = samples_ahead(functional.difference, paired.base, paired.samples)
    if ahead is None:
        return f"{in_spreads}, {reason}"
    share = _short(100 * abs(ahead) / paired.samples[-1])
    return f"{in_spreads}, as if trained on {share}% {'more' if ahead > 0 else 'fewer'} samples"


def _and_ends(verdict: Verdict, paired: PairedCurves) -> str:
    """What was seen at the end, as a sentence of its own."""
    if verdict.end is None:
        return ""
    text = _place(verdict.end, verdict)
    return f" {text[0].upper()}{text[1:]}{_size(verdict.end, verdict, paired) if verdict.pairs > 1 else ''}."


def _more(verdict: Verdict, use: str) -> str:
    n = verdict.further_seeds
    return "" if n is None else f" About {n:,} more seed{'s' * (n > 1)} {use}."


def _short(value: float) -> str:
    """Two digits, and no exponent for a large number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _runs(some: int, total: int) -> str:
    return f"{some} of {total} run{'s' * (total > 1)}"


def headline(verdicts: Mapping[str, Verdict], arm: str = "scaled") -> str:
    """The first line of a result: does the scaled configuration, the one of that arm, do what the base configuration does?"""
    scaled = verdicts.get(arm)
    if scaled is None or not scaled.told:
        return "There are not yet both a base and a scaled run to compare."
    margin = _margin(scaled)
    seeds = f"{scaled.pairs} seed{'s' * (scaled.pairs > 1)}"
    if scaled.reason == "diverged":
        return ("No: training with the scaled settings breaks down where the base settings train." if scaled.outcome == "differs"
                else "Not decided: some runs broke down, too few to tell whether that was chance. Train more seeds.")
    if scaled.outcome == "matches":
        told = [verdict.arm for verdict in verdicts.values() if verdict.control and verdict.outcome == "differs"]
        also = f" The same test does tell {' and '.join(told)} from the base run." if told else (
            " No other setting was trained for comparison, so whether this run would have shown a wrong one is not known.")
        return f"Yes: the scaled settings train like the base settings, to within {margin} ({seeds}).{also}"
    if scaled.outcome == "differs":
        return f"No: the scaled run {_lies(scaled)}, more than the {margin} that would pass as equal ({seeds})."
    if scaled.reason == "signal dominates":
        return ("This run does not test the scaling: at this stage of training larger batches do not yet average out much noise, "
                "which the scaling is made for. Start from a trained model, or choose smaller batches.")
    if scaled.outcome == "not a test":
        return ("This run does not test the scaling: even deliberately wrong settings trained like the base settings here. Train "
                "longer, or choose batch sizes further apart.")
    if scaled.reason == "no power":
        return (f"Not decided yet: the scaled settings train like the base settings, to within {margin}, but so far not even "
                f"wrong settings can be told from them ({seeds}).{_more(scaled, 'would decide')}")
    if scaled.pairs == 1:
        return "Not decided yet: one seed cannot tell a difference from chance. Train at least 3."
    if scaled.further_seeds is None:
        return f"Not decided, and more seeds would hardly help: the difference is close to the {margin} that would pass as equal."
    return f"Not decided yet: {seeds} are too few. About {scaled.further_seeds:,} more would decide."


def of_another_transfer(verdict: Verdict, name: str) -> str:
    """What came out for another transfer than the paper's, in a sentence beside the headline; "" before there is a pair."""
    if not verdict.pairs and verdict.reason != "diverged":
        return ""
    if verdict.reason == "diverged":
        return (f"{name} breaks down in more runs than base." if verdict.outcome == "differs"
                else f"{name} is not decided: some runs broke down.")
    if verdict.outcome == "matches":
        return f"{name} trains like the base settings, to within {_margin(verdict)}."
    if verdict.outcome == "differs":
        return f"{name} {_lies(verdict)}, more than {_margin(verdict)}."
    return f"Whether {name[0].lower()}{name[1:]} does is not decided.{_more(verdict, 'would decide')}"


def _lies(verdict: Verdict) -> str:
    """Where an arm that differs lies, for a person who knows nothing of the theory."""
    clearest = _clearest(verdict)
    place = f"{abs(clearest.difference):.2g} {verdict.margin.unit} {'above' if clearest.difference > 0 else 'below'} the base run"
    return {"end": f"ends {place}", "whole curve": f"lies {place} over the whole curve",
            "first quarter": f"lies {place} over the first quarter"}[clearest.name]
