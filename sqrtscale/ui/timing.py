"""The estimate of a calibration's time, made in the background: no page waits for it."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import streamlit as st

from ..plan import CalibrationPlan
from ..rules import FieldError
from ..runner import Estimate, estimate
from .tables import escaped

MOST = 100  # plans whose timing is kept


class Timings:
    """One timing at a time; asking for another plan drops those that nobody waits for any more."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="timing")
        self._estimates: dict[str, Future[Estimate]] = {}

    def of(self, plan: CalibrationPlan, again: bool = False) -> Future[Estimate]:
        """The timing of a plan, done or under way; again: try once more where it failed (the machine was busy, say)."""
        key = json.dumps(plan.as_dict(), sort_keys=True)
        known = self._estimates.get(key)
        if known is None or known.cancelled() or (again and known.done() and isinstance(known.exception(), RuntimeError)):
            for waiting in self._estimates.values():
                waiting.cancel()
            self._estimates[key] = self._pool.submit(estimate, plan)
            while len(self._estimates) > MOST:
                del self._estimates[next(iter(self._estimates))]
        return self._estimates[key]


@st.cache_resource(show_spinner=False)
def timings() -> Timings:
    """The server's one pool of timings."""
    return Timings()


def duration(seconds: float) -> str:
    """Seconds for people: ``45 s``, ``2 min 10 s``, ``1 h 5 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Bytes for people: ``80 MB``, ``1.2 GB``."""
    return f"{count / 1e9:.2g} GB" if count >= 1e9 else f"{max(1, round(count / 1e6)):,} MB"


def show(plan: CalibrationPlan) -> None:
    """Say how long the plan will take; looks again every second until the timing is there."""
    if plan.own is not None:  # nothing of a user's file runs before somebody launches it
        st.caption(":material/timer: Not timed, because your file runs only after Launch. What the check found says how long a "
                   "step takes.")
        return
    waiting = not timings().of(plan, again=True).done()
    looks = count()

    @st.fragment(run_every=1.0 if waiting else None, key="timing")
    def look() -> None:
        first = next(looks) == 0  # within the page's own run, which a rerun would cut short: a click would be lost
        timing = timings().of(plan)  # asked anew each time: another tab's plan may have pushed it out of the queue
        if not timing.done():
            st.caption(":material/timer: Timing a few steps of every arm …")
            return
        try:
            timed = timing.result()
        except (FieldError, RuntimeError) as error:
            st.caption(f":material/timer: {escaped(str(error))}")
            return
        if waiting and not first:
            st.rerun()  # once, so that it looks no more
        parts = ", ".join(f"{arm} {duration(seconds)}" for arm, seconds in timed.arms.items())
        most = "At most about" if plan.stop_early or plan.reuse else "About"
        snapshots = f" and up to {size(timed.disk)} of disk for snapshots" if timed.disk else ""
        st.markdown(f":material/timer: {most} **{duration(timed.seconds)}** on {timed.device}, timed just now "
                    f"(:small[{parts}])" + (f", in about {size(timed.memory)} of memory{snapshots}." if timed.memory else "."))

    look()
