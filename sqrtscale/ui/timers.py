"""Timers of fragments (``run_every``) end with their page.

After a change of page the browser may still ask for a fragment of the page before, the likelier the busier the machine. Streamlit
(1.67) answers that once the new page stands, and tells the browser that the old page is shown, which takes the new one away; or
joins it with the change of page that waits still, and draws the old page in place of the new one. Both may end the app with "Bad
delta path index".

Nor does a timer say anything new: an input asks by itself, at once. But a timer sends every widget's value along as the browser
has it, also of those that the page has set and that the browser has not heard of yet. Streamlit takes that for an input, which
undoes what was set and calls back. So what a timer sends along is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime import app_session
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner


class Runner(ScriptRunner):
    """Runs the scripts of one browser tab."""

    def __init__(self, *, initial_rerun_data: RerunData, **others: Any):
        self._waiting: RerunData | None = initial_rerun_data  # until it begins
        super().__init__(initial_rerun_data=_without_widgets(initial_rerun_data), **others)

    def request_rerun(self, rerun_data: RerunData) -> bool:
        """As Streamlit does, but a timer adds nothing to a run of the whole page that has not begun."""
        whole = self._waiting is not None and not self._waiting.fragment_id
        return (whole and rerun_data.is_auto_rerun) or super().request_rerun(_without_widgets(rerun_data))

    def _run_script(self, rerun_data: RerunData) -> None:
        """Run it, unless a timer of a page that is no longer shown asks for it."""
        self._waiting = None
        shown = self._pages_manager.current_page_script_hash
        late = rerun_data.is_auto_rerun and rerun_data.fragment_id_queue and rerun_data.page_script_hash not in ("", shown)
        if rerun_data.is_auto_rerun and rerun_data.widget_states is None:  # no click waits with it
            rerun_data = replace(rerun_data, widget_states=WidgetStates())
        if not (late and shown):
            super()._run_script(rerun_data)


def _without_widgets(rerun_data: RerunData) -> RerunData:
    """A timer's request that leaves the widgets of a click alone, with which it may be joined."""
    return replace(rerun_data, widget_states=None) if rerun_data.is_auto_rerun else rerun_data


def end_with_their_page() -> None:
    """For every browser tab that this server will have."""
    app_session.ScriptRunner = Runner  # type: ignore[attr-defined, assignment]
