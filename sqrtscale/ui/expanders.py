"""The expanders below the answer of the Scale page: what is not covered, other rules, ways to reach the batch, a batch ramp."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from ..rules import UNDERIVED, FieldError, ScaledConfig, family
from ..rules.alternatives import alternatives
from ..rules.batch import Batch, nearest, ways_to
from ..rules.stages import stages as batch_ramp
from . import forms, inputs, rules_chart
from .inputs import Inputs, format_number
from .tables import NONE, escaped, sentence

NOT_COVERED = (
    "**BatchNorm** normalises over the batch of one device, so the loss itself changes with that batch: keep it. "
    "**Contrastive losses** compare the samples of a batch: another batch is another loss. "
    "In **reinforcement learning** the batch also decides how old the data are. "
    "**LoRA** moves as any other parameters, but its few weights may meet the signal regime earlier. "
    "**Dropout, label smoothing, augmentation** act sample by sample and stay."
)


def limits() -> None:
    """What the rule says nothing about."""
    st.markdown(f"**Not covered**  \n{NOT_COVERED}")
    with st.popover("Optimizers without a derived rule"):
        for optimizer in UNDERIVED.values():
            st.markdown(f"**{optimizer.label}**: {sentence(optimizer.known)} :gray[({escaped(optimizer.source)})]")


def other_rules(given: Inputs) -> None:
    """The same base carried over by the rules that others use."""
    scaled, aware = given.scaled, given.noise_aware
    try:
        rules = alternatives(scaled.base, scaled.target_batch, given.noise_scale)
    except FieldError as error:
        st.error(sentence(str(error)))
        return
    rules_chart.show(scaled, given.noise_scale)
    names = [*family(scaled.base.optimizer).fields, "total_steps", "warmup_steps"]
    own = family(scaled.base.optimizer).rule.removesuffix(" rule").replace("-", " ").capitalize()
    columns = {f":orange[{own}]": {row.name: row.scaled for row in scaled.fields}}
    if aware is not None:
        columns[rules_chart.AWARE] = {row.name: row.scaled for row in aware.fields}
    columns |= {rule.label: dict(rule.config.hyperparameters) | rule.config.of_the_run() for rule in rules}
    rows = [(_label(scaled, name),
             *(NONE if values[name] is None else format_number(values[name]) for values in columns.values()))
            for name in names if all(name in values for values in columns.values())]
    st.table(pd.DataFrame(rows, columns=["Field", *columns]), border="horizontal", hide_index=True,
             alt="The scaled configuration by this rule and by others")
    if aware is not None:
        st.markdown(f"**{rules_chart.AWARE}**: the same rule where the gradient's mean counts beside its noise; between the "
                    "square root and the linear rule, by the noise scale. :gray[derived by us, docs/theory.md]")
    for rule in rules:
        st.markdown(f"**{rule.label}**: {sentence(rule.idea)} :gray[{escaped(rule.source)}]")
    if given.noise_scale is None:
        st.caption("With a noise scale, typed on the left, the noise-aware transfer and the surge rule have numbers as well.")


def _label(scaled: ScaledConfig, name: str) -> str:
    return next((row.label for row in scaled.fields if row.name == name), name)


def devices(scaled: ScaledConfig) -> None:
    """Which per-device batches, accumulations and devices make the target batch."""
    base = inputs.batch_in_parts(forms.typed("b0")) or Batch(min(scaled.base.batch_size, 32))
    left, right = st.columns(2)
    largest = left.text_input("Largest batch of one device", key="fits", placeholder=str(base.per_device))
    most = right.text_input("Devices at most", key="devices", placeholder=str(max(base.devices, 8)))
    per_device = inputs.parsed(largest) if largest.strip() else base.per_device
    most_devices = inputs.parsed(most) if most.strip() else max(base.devices, 8)
    try:
        ways = ways_to(scaled.target_batch, per_device, most_devices)
        closest = nearest(scaled.target_batch, per_device, most_devices)
    except FieldError as error:
        st.error(sentence(str(error)))
        return
    if ways:
        rows = [(str(batch.devices), str(batch.per_device), str(batch.accumulation), str(batch)) for batch in ways]
        st.table(pd.DataFrame(rows, columns=["Devices", "Per device", "Accumulation", "Type as target"]), border="horizontal",
                 hide_index=True, alt="Ways to reach the target batch")
    if closest.size != scaled.target_batch:
        kappa = closest.size / scaled.base.batch_size
        st.caption(f"{closest.devices} devices with {closest.per_device} each come to {closest.size} at the nearest "
                   f"({escaped(str(closest))}): κ = {format_number(kappa)} instead of {format_number(scaled.kappa)}. Type "
                   "that as the target to scale for the batch you really run.")


def stages(given: Inputs) -> None:
    """The configuration of every stage of a batch that changes while it trains."""
    st.caption("A batch ramp: what each stage takes, counted in samples. Give batch:samples, in order.")
    size = given.config.batch_size
    text = st.text_input("Stages", key="stages", placeholder=f"{size}:1000000 {2 * size}:2000000 {4 * size}:4000000")
    if not text.strip():
        return
    pairs = [part.partition(":") for part in text.replace(",", " ").split()]
    try:
        ramp = batch_ramp(given.config, [(inputs.parsed(batch), inputs.parsed(samples)) for batch, _, samples in pairs],
                          given.decay_form, given.momentum_form, given.noise_scale)
    except FieldError as error:
        st.error(sentence(str(error)))
        return
    rows = [[str(i), str(stage.batch), f"{stage.first_sample:,}", f"{stage.steps:,}",
             *(NONE if row.scaled is None else format_number(row.scaled) for row in stage.scaled.fields
               if row.name in given.config.hyperparameters)] for i, stage in enumerate(ramp, 1)]
    labels = [field.label for field in family(given.config.optimizer).fields.values()]
    st.table(pd.DataFrame(rows, columns=["Stage", "Batch", "From sample", "Steps", *labels]), border="horizontal",
             hide_index=True, alt="Configuration of every stage")
    st.caption("Between stages move the optimizer's state as well: `sqrtscale.transfer_optimizer_(optimizer, kappa)` in a live "
               "run, `sqrtscale transfer-checkpoint` for a saved one.")
