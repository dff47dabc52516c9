"""The answer of the Scale page, from headline to share link."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import streamlit as st

from ..formats import snippets
from ..plan import trainable
from ..rules import RUN_FIELDS, FieldError, ScaledConfig, ScaledField, TrainingConfig, signal
from ..rules.batch import Batch
from ..rules.forecast import WORTH_SAYING
from ..rules.forecast import sentence as in_words
from ..rules.run_fields import CountedInSteps
from ..tasks import TASKS
from ..training.optimizers import TRAINED
from . import forms, importing, inputs, remedy, tables
from .inputs import Inputs, format_number

SCALED, NOISE_AWARE = "Scaled", "Noise-aware"  # the transfers, by what the page calls them
FILE = "file"  # stands for the imported file among the snippets
CORRECT_HELP = ("Our own addition, not the paper's: lr divided by the share of the drift (how far the weights move along the "
                "mean gradient) that the rule keeps at this κ, computed for Gaussian noise that dominates the gradient.")


def refusal(wrong: Sequence[str]) -> None:
    """Which fields are wrong, in place of an answer."""
    st.error(forms.marked(wrong), title="No scaled configuration yet")


def headline(scaled: ScaledConfig) -> None:
    """kappa and the two batches."""
    st.header(
        f"κ = {format_number(scaled.kappa)}: batch :blue[{scaled.base.batch_size}] → :orange[{scaled.target_batch}]",
        anchor=False, help="κ (kappa) is the target batch divided by the base batch.",
    )


def transfers(given: Inputs) -> dict[str, ScaledConfig]:
    """The transfers by their names: the rule's alone, or with a noise scale the noise-aware one beside it."""
    aware = given.noise_aware
    if aware is None:
        return {SCALED: given.scaled}
    rule = given.scaled.rule
    return {f"{rule[0].upper()}{rule[1:]}": given.scaled, NOISE_AWARE: aware}


def chosen_transfer(known: Mapping[str, ScaledConfig]) -> str:
    """Which of the transfers is shown, copied and downloaded: the rule, unless the user takes the noise-aware one."""
    rule = next(iter(known))
    if NOISE_AWARE not in known:
        return rule
    aware = known[NOISE_AWARE]
    text = aware.which_rule
    if abs(aware.square_root_share - 1) > signal.WORTH_A_RULE:
        text += " Take the noise-aware values (derived by us, not in the paper)."
    st.markdown(f":material/graphic_eq: {tables.sentence(text)}")
    return st.segmented_control("Values", list(known), default=rule, required=True, key="transfer-chosen",
                                help="What is copied, downloaded and put into your file below.")


def how_to_know() -> None:
    """Where a noise scale comes from, for somebody who has none."""
    measured = " and ".join(f"about {task.noise_scale.value:.0f} in {task.title}" for task in TASKS.values() if task.noise_scale)
    st.caption(tables.sentence(
        "Near the gradient's noise scale the square root falls short; with it in the form, noise-aware values stand beside those "
        f"of the rule. A calibration measures it (samples: {measured}), and NoiseMeter in your own training: what was measured "
        "stands below."))


def validity(scaled: ScaledConfig, noise_known: bool = False) -> None:
    """How far the decays reach, the rule's own error, the warnings, and the other form beside a decay without a number."""
    limits = [(row.largest_kappa, row.label) for row in scaled.fields if row.largest_kappa is not None]
    if scaled.decay_form == "half-life" and limits:
        st.caption("Decays by half-life, β^κ: a number for every κ.")
    elif limits:
        largest, label = min(limits)
        batch = int(largest * scaled.base.batch_size + 1e-6)
        st.caption(f"The linear decays have a number up to κ = {format_number(largest)}, batch {batch}, set by {label}.")
    _forecast(scaled, noise_known)
    roundings = _roundings(scaled)
    if roundings:
        st.caption("  \n".join(f"{row.label}: {tables.sentence(row.warning)}" for row in roundings))
    for warning in scaled.warnings:
        if warning not in [f"{row.name}: {row.warning}" for row in roundings]:
            st.warning(tables.sentence(warning))
    if not scaled.complete and any(row.half_life is not None and row.scaled is None for row in scaled.rows):
        st.button("Use the half-life form", on_click=forms.use_half_life, help=forms.DECAY_HELP)


def _roundings(scaled: ScaledConfig) -> list[ScaledField]:
    """Rows whose warning only says how a number of steps was rounded, and not to none: notes."""
    return [row for row in scaled.fields if row.warning and row.scaled and row.name in RUN_FIELDS
            and isinstance(RUN_FIELDS[row.name].kind, CountedInSteps)]


def _forecast(scaled: ScaledConfig, noise_known: bool) -> None:
    forecast = scaled.forecast
    if forecast is None or scaled.kappa == 1:
        return
    text = in_words(scaled.kappa, forecast)
    if noise_known:  # which has said already how far the rule falls short beside that
        text = f"Where noise dominates: {text[0].lower()}{text[1:]}"
    if scaled.lr_corrected:
        whose = " of the square-root rule" * noise_known
        text += f" Done: the lr{whose} above holds that factor, {format_number(forecast.lr_correction)}."
    st.markdown(f":material/speed: {tables.sentence(text)}")
    if scaled.lr_corrected or abs(forecast.drift - 1) >= WORTH_SAYING:
        st.toggle("Correct lr for it", key="corr", help=CORRECT_HELP)


def take_away(scaled: ScaledConfig, given: Inputs, link: dict[str, str]) -> None:
    """Calibrate, download, share."""
    runs = trainable(given.config)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Calibrate this", type="primary", icon=":material/science:", disabled=not scaled.complete or runs is None,
                     help=_what_runs(given, runs)):
            st.switch_page("pages/calibrate.py", query_params=inputs.texts_of(given))
        name = f"sqrtscale-{scaled.base.optimizer}-{scaled.base.batch_size}-{scaled.target_batch}.json"
        # Made when it is asked for: what every rerun offers anew, a browser may look for when it is gone.
        st.download_button("Download JSON", lambda: as_json(scaled), name, "application/json", on_click="ignore")
        with st.popover("Share"):
            st.caption("The address of this page holds every input. Copy it from here:")
            st.code(_address(link), language=None, wrap_lines=True)
    if runs is None:
        st.caption(f"It cannot be calibrated as it is: {tables.escaped(_what_runs(given, runs))}")
    elif not scaled.complete:
        missing = " and ".join(dict.fromkeys(row.label for row in scaled.rows if row.scaled is None))
        st.caption(f"It cannot be calibrated at this κ: no number for {tables.escaped(missing)}.")
    if runs is None or not scaled.complete:
        remedy.button(next(iter(TASKS.values())), given)


def _what_runs(given: Inputs, runs: TrainingConfig | None) -> str:
    if runs is None:
        return f"The calibration engine has PyTorch's {', '.join(TRAINED)}; this is not the same as any of them."
    convention = "" if runs.optimizer == given.config.optimizer else ", in PyTorch's convention as near as it comes"
    return f"Train base and scaled side by side on real data{convention}."


def as_json(scaled: ScaledConfig) -> str:
    """The object that the command line prints with ``--json``."""
    return json.dumps(scaled.as_dict(), indent=2)


def snippet(scaled: ScaledConfig) -> None:
    """The scaled configuration to copy, for the library of the user's choice or into the file that was imported."""
    imported = importing.current()
    names = [FILE] * bool(imported) + list(snippets.SNIPPETS)
    first = FILE if imported else snippets.native(scaled.base.optimizer)
    labels = {FILE: "Your file, patched", **{name: library.label for name, library in snippets.SNIPPETS.items()}}
    chosen = st.selectbox("Copy for", names, index=names.index(first), format_func=labels.__getitem__, key=f"snippet-{first}",
                          label_visibility="collapsed")
    parts = importing.target_parts(scaled)
    try:
        if imported and chosen == FILE:
            importing.patched(imported, scaled, parts)
        else:
            _library(scaled, chosen, parts)
    except FieldError as error:
        st.info(tables.sentence(str(error)), title=f"Nothing to copy for {labels[chosen]}")


def _library(scaled: ScaledConfig, name: str, parts: Batch | None) -> None:
    library = snippets.SNIPPETS[name]
    st.code(snippets.snippet(scaled, name, parts), language=library.language, wrap_lines=True)
    if library.language == "json" and scaled.complete:  # the others say it in comments
        for remark in snippets.remarks(scaled, name):
            st.caption(tables.sentence(remark))


def _address(link: dict[str, str]) -> str:
    page = (st.context.url or "").split("?")[0].rstrip("/") + "/"
    return f"{page}?{urlencode(link)}" if link else page
