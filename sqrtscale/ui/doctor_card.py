"""What calibrations run on here, and a button that tries it: ``sqrtscale doctor`` on a page."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import streamlit as st

from ..gpu import Diagnosis, diagnose, remembered
from ..gpu.words import text
from ..runner.device import gpus
from .tables import sentence

LABEL = "What it runs on"


class Doctor:
    """One trial at a time, in the background; its last answer is kept as long as the server runs."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="doctor")
        self._trial: Future[Diagnosis] | None = None

    def start(self) -> None:
        """Try the machine, unless that is under way."""
        if not self.busy:
            self._trial = self._pool.submit(self._diagnosed)

    @staticmethod
    def _diagnosed() -> Diagnosis:
        diagnosis = diagnose()
        gpus.cache_clear()  # the form's choice of devices follows it
        return diagnosis

    @property
    def busy(self) -> bool:
        """Whether a trial is under way."""
        return self._trial is not None and not self._trial.done()

    @property
    def answer(self) -> Diagnosis | None:
        """Of the last trial, of whatever process; None where none was made."""
        return self._trial.result() if self._trial is not None and self._trial.done() else remembered()


@st.cache_resource(show_spinner=False)
def doctor() -> Doctor:
    """The server's one."""
    return Doctor()


def show() -> None:
    """The answer in a sentence, the rest as a text to copy."""
    with st.expander(LABEL, key="doctor", on_change="rerun") as card:
        if not card.open:
            return
        waiting = doctor().busy
        looks = count()

        @st.fragment(run_every=1.0 if waiting else None, key="doctor-look")
        def look() -> None:
            if doctor().busy:
                st.caption(":material/timer: Trying a few steps of every task and optimizer, about a minute …")
                return
            if waiting and next(looks):
                st.rerun()  # the whole page: the choice of devices may be another one
            diagnosis = doctor().answer
            if diagnosis is None:
                st.caption("Nothing was tried here yet. A GPU is tried by itself before its first calibration.")
                return
            say = st.success if diagnosis.outcome == "graph" else st.info if diagnosis.runs else st.error
            say(sentence(f"{diagnosis.sentence}." + (f" To do: {diagnosis.remedy}." if diagnosis.remedy else "")))
            st.code(text(diagnosis), language=None)

        look()
        st.button("Try this machine", icon=":material/stethoscope:", on_click=doctor().start, key="doctor-try", disabled=waiting,
                  help="As the command sqrtscale doctor does, of the best device.")
