"""Scale: a configuration and a target batch go in, the scaled configuration comes out."""

from functools import partial

import streamlit as st

from sqrtscale import scale
from sqrtscale.ui import answer, expanders, forms, importing, kappa, tables
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
        scaled = scale(*asked.inputs)
        answer.headline(scaled)
        tables.base_beside_scaled(scaled)
        answer.validity(scaled)
        answer.snippet(scaled)
        answer.take_away(scaled, asked.inputs, asked.link)
        st.caption(
            "The rule holds while gradient noise dominates the gradient: after the first stretch of training, and "
            "while κ stays moderate. Calibrate measures on real data whether it does."
        )
        with st.expander("Why: formula, reason and source of each field"):
            tables.reasons(scaled)
            expanders.limits()
        for title, show in {
            "How far: every field over κ": partial(kappa.show, scaled),
            "Other rules beside this one": partial(expanders.other_rules, scaled),
            "Devices and accumulation": partial(expanders.devices, scaled),
            "Change the batch during training": partial(expanders.stages, asked.inputs),
        }.items():
            box = st.expander(title, on_change="rerun", key=title)
            if box.open:  # computed only for those who look
                with box:
                    show()
