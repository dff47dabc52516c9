"""Scale: a configuration and a target batch go in, the scaled configuration comes out."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from sqrtscale.ui import answer, expanders, forms, importing, kappa, measured_noise, tables
from sqrtscale.ui.state import through_app

through_app()
st.title("Your settings at another batch size", anchor=False)
st.caption("Adam, AdamW or RMSprop, by the square-root scaling rule (Malladi et al., 2022).")
left, right = st.columns([1, 1.7], gap="large")
with left:
    st.header("Your configuration", anchor=False)
    importing.show()
    asked = forms.training_configuration()
with right:
    if asked.inputs is None:
        answer.refusal(asked.wrong)
    else:
        transfers = answer.transfers(asked.inputs)
        scaled = asked.inputs.scaled
        answer.headline(scaled)
        chosen = answer.chosen_transfer(transfers)
        tables.base_beside_scaled(transfers, chosen)
        answer.validity(scaled, noise_known=len(transfers) > 1)
        answer.snippet(transfers[chosen])
        answer.take_away(transfers[chosen], asked.inputs, asked.link)
        st.caption(
            "The rule holds while gradient noise dominates the gradient: after the first stretch of training, and "
            "while κ stays moderate. Calibrate measures on real data whether it does."
        )
        if asked.inputs.noise_scale is None:
            answer.how_to_know()
        with st.expander("Why: formula, reason and source of each field"):
            tables.reasons(transfers[chosen])
            expanders.limits()
        further: dict[str, Callable[[], None]] = {
            "How far: every field over κ": partial(kappa.show, scaled, asked.inputs.noise_aware),
            "Noise scales that were measured": measured_noise.show,
            "Other rules beside this one": partial(expanders.other_rules, asked.inputs),
            "Devices and accumulation": partial(expanders.devices, scaled),
            "Change the batch during training": partial(expanders.stages, asked.inputs),
        }
        for title, show in further.items():
            box = st.expander(title, on_change="rerun", key=title)
            if box.open:  # computed only for those who look
                with box:
                    show()
