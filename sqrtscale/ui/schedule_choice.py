"""The schedule of a calibration, chosen by its kind or typed with its settings."""

from __future__ import annotations

import streamlit as st

from ..schedules import CONSTANT, KINDS, Schedule, schedule
from .colours import UNSCALED

HELP = ("The same in every arm at equal samples seen, from where the arms part to the end of the run; the warm start trains at "
        "the peak. To set more, type it: cosine:0.1 ends at a tenth of the peak, wsd:0.1,1-sqrt falls over the last tenth, "
        "milestones:0.5,0.75,gamma=0.3.")
WIDTH, HEIGHT = 240, 40  # of the picture, in pixels


def choose(carried: Schedule = CONSTANT) -> Schedule:
    """What the user chooses, at first ``carried``; raises FieldError for a text that is no schedule."""
    key = f"schedule-{carried}"
    texts = list(dict.fromkeys((*KINDS, str(carried), st.session_state.get(key) or str(carried))))
    text = st.selectbox("Learning rate over a run", texts, index=texts.index(str(carried)), accept_new_options=True,
                        format_func=_label, key=key, help=HELP)
    chosen = schedule(text)
    if chosen != CONSTANT:
        st.image(_picture(chosen), width=WIDTH, alt=f"The learning rate {chosen.words}",
                 caption="Learning rate over its peak, from the start of a run to its end")
    return chosen


def _label(text: str) -> str:
    return KINDS[text].label if text in KINDS else text


def _picture(chosen: Schedule) -> str:
    """The factor from 0 to 1 over the share of the run, as SVG."""
    line = " ".join(f"{x},{2 + (HEIGHT - 4) * (1 - chosen.factor(x / WIDTH)):.1f}" for x in range(WIDTH + 1))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
            f'<polyline points="{line}" fill="none" stroke="{UNSCALED}" stroke-width="2"/></svg>')
