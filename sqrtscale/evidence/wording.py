"""Verdicts in words: one sentence on each arm, and a first line for a person who knows nothing of the theory."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .equivalence import MOST_PAIRS, Functional, confidence
from .pairing import Contrast, FunctionalName, samples_ahead
from .verdict import Verdict

WHERE: dict[FunctionalName, str] = {
    "end": "it ends", "whole curve": "over the whole curve it lies", "first quarter": "over the first quarter it lies"}


def sentence(verdict: Verdict, curves: Contrast, no_test: str = "") -> str:
    """What is said of an arm, in Markdown; no_test: what makes it no test, where it is none (the regime, or the controls)."""
    arm, margin, end = f"**{verdict.arm}**", _margin(verdict), verdict.end
    if verdict.reason == "signal dominates":
        return (f"{arm} is not a test of the rule: the signal dominates the gradient noise here ({no_test}), and the square-root "
                f"rule is made for noise.{_and_ends(verdict, curves)}")
    if verdict.outcome == "not a test":
        return (f"{arm} is not a test of the rule: even the controls ({no_test}) could not be told from base, so a wrong rule "
                f"would not have been noticed either.{_and_ends(verdict, curves)}")
    if verdict.reason == "no power":
        return (f"{arm} cannot be told yet: it lies within {margin} of base, but no control ({no_test}) could be told from base "
                f"so far, so a wrong rule might not have been noticed.{_and_ends(verdict, curves)}"
                f"{_more(verdict, 'would decide about a control')}")
    if verdict.outcome == "matches" and end:
        return f"{arm} matches base within {margin}: {_place(end, verdict)}{_size(end, verdict, curves)}."
    if verdict.reason == "diverged":
        of_base = curves.base_diverged if verdict.paired else f"{curves.base_diverged} of {curves.base_begun}"
        counts = f"{_runs(curves.arm_diverged, curves.arm_begun)} diverged, {of_base} of base"
        judged = "differs from base" if verdict.outcome == "differs" else "cannot be told from base yet"
        chance = "" if verdict.outcome == "differs" else f", which may be chance: train more {_noun(verdict)}s"
        return f"{arm} {judged}: {counts}{chance}."
    if verdict.outcome == "differs":
        clearest = _clearest(verdict)
        return f"{arm} differs from base by more than {margin}: {_place(clearest, verdict)}{_size(clearest, verdict, curves)}."
    if end and verdict.pairs == 1 and not verdict.paired:
        return f"{arm} {_place(end, verdict).removeprefix('it ')}{_size(end, verdict, curves)}; {_by_chance(verdict)}."
    return f"{arm} cannot be told yet: {_open(verdict, curves)}"


def _clearest(verdict: Verdict) -> Functional:
    """What shows best that the arm differs: the end where that does, otherwise the functional with the smallest p."""
    return min(reversed(verdict.functionals), key=lambda test: (not test.beyond, test.name != "end", test.p_beyond))


def _open(verdict: Verdict, curves: Contrast) -> str:
    """What keeps either from being shown, and what would decide."""
    if verdict.end is None:
        return "no seed has a curve of both arms." if verdict.paired else "there is not yet a whole run of both."
    if verdict.pairs == 1:
        in_samples = "" if verdict.samples_ahead is None else _in_samples(verdict.end, curves)
        return f"{_place(verdict.end, verdict)}{in_samples}, and one seed cannot tell a difference from chance; train at least 3."
    inside = all(abs(test.difference) < verdict.margin.value for test in verdict.functionals)
    widest = max(verdict.functionals, key=lambda test: test.p_within if inside else -test.p_beyond)
    margin = _margin(verdict)
    if max(widest.low, -widest.high) > verdict.margin.value:
        open_question = (f"its interval lies outside the margin of {margin}, of which {verdict.base_runs} {_noun(verdict)}s know "
                         "too little to call it a difference: base's own spread is part of it")
    elif widest.low > 0 or widest.high < 0:
        open_question = f"a difference is there, but not shown to be more than {margin} or less"
    else:
        open_question = f"neither a difference within {margin} nor one beyond is shown"
    more = _more(verdict, "would decide") or (
        f" Not even {MOST_PAIRS:,} {_more_of(verdict)} would decide at this margin: set another one, or train longer.")
    return f"{_place(widest, verdict)}{_size(widest, verdict, curves)}; {open_question}.{more}"


def _margin(verdict: Verdict) -> str:
    return f"{verdict.margin.value:.2g} {verdict.margin.unit}"


def _place(functional: Functional, verdict: Verdict) -> str:
    """Where the arm lies against base in one functional, with its interval."""
    place = f"{WHERE[functional.name]} with base"
    if functional.difference:
        side = "above" if functional.difference > 0 else "below"
        place = f"{WHERE[functional.name]} {abs(functional.difference):.3g} {verdict.margin.unit} {side} base"
    if verdict.pairs < 2:
        return place
    interval = f"{confidence(functional.level)} interval {functional.low:+.3g} to {functional.high:+.3g}"
    return f"{place} ({interval}, {_counted(verdict)})"


def _size(functional: Functional, verdict: Verdict, curves: Contrast) -> str:
    """A difference at the end in spreads between seeds and in samples, each where it is known; "" for one on the way."""
    if functional.name != "end":
        return ""
    effect = verdict.effect_sd
    in_spreads = "" if math.isnan(effect) else f"; that is {_short(abs(effect))} standard deviations of base {_noun(verdict)}s"
    return f"{in_spreads}{_in_samples(functional, curves)}"


def _in_samples(end: Functional, curves: Contrast) -> str:
    ahead, reason = samples_ahead(end.difference, curves.base, curves.samples, curves.counted)
    if ahead is None:
        return f", {reason}"
    share = _short(100 * abs(ahead) / curves.samples[-1])
    return f", as if trained on {share}% {'more' if ahead > 0 else 'fewer'} {curves.counted}"


def _and_ends(verdict: Verdict, curves: Contrast) -> str:
    """What was seen at the end, as a sentence of its own."""
    if verdict.end is None:
        return ""
    text = _place(verdict.end, verdict)
    return f" {text[0].upper()}{text[1:]}{_size(verdict.end, verdict, curves) if verdict.pairs > 1 else ''}."


def _more(verdict: Verdict, use: str) -> str:
    n = verdict.further_seeds
    return "" if n is None else f" About {n:,} more {_more_of(verdict, n)} {use}."


def _noun(verdict: Verdict) -> str:
    """What more is trained of."""
    return "seed" if verdict.paired else "run"


def _more_of(verdict: Verdict, n: int = MOST_PAIRS) -> str:
    return f"{_noun(verdict)}{'s' * (n > 1)}{' of each' * (not verdict.paired)}"


def _counted(verdict: Verdict) -> str:
    """The runs that are compared: ``5 seeds``, ``3 runs against 4 of base``."""
    against = "" if verdict.paired else f" against {verdict.base_runs} of base"
    return f"{verdict.arm_runs} {_noun(verdict)}{'s' * (verdict.arm_runs > 1)}{against}"


def _by_chance(verdict: Verdict) -> str:
    """What one run of an arm leaves open, where runs are not paired."""
    counts = "one run each" if verdict.arm_runs == verdict.base_runs else _counted(verdict)
    return f"with {counts} this may be chance: two {'base runs' if verdict.base_runs == 1 else 'runs of it'} would show how much"


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
    seeds = _counted(scaled)
    if scaled.reason == "skipped steps":
        return ("No verdict: gradients overflowed in float16, and the loss scaler left steps out. Take bf16, or begin from a "
                "warm start.")
    if scaled.reason == "diverged":
        return ("No: training with the scaled settings breaks down where the base settings train." if scaled.outcome == "differs"
                else "Not decided: some runs broke down, too few to tell whether that was chance. "
                     f"Train more {_noun(scaled)}s.")
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
        return (f"Not decided yet: one {_noun(scaled)} cannot tell a difference from chance. Train at least 3"
                f"{' of each' * (not scaled.paired)}.")
    if scaled.further_seeds is None:
        return (f"Not decided, and more {_noun(scaled)}s would hardly help: the difference is close to the {margin} that would "
                "pass as equal.")
    return (f"Not decided yet: {seeds} are too few. About {scaled.further_seeds:,} more{' of each' * (not scaled.paired)} would "
            "decide.")


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
