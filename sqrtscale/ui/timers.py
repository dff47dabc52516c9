"""Timers of fragments (``run_every``) end with their page.

After ``st.switch_page`` a browser that has not heard of the new page yet may still ask for a fragment of the old one. Streamlit
(1.67) answers once the new page stands, and tells the browser that the old page is shown: it takes the new one away, and the next
fragment of that ends the app with "Bad delta path index". The busier the machine, the likelier.
"""

from __future__ import annotations

from streamlit.runtime import app_session
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner


class Runner(ScriptRunner):
    """Runs the scripts of one browser tab."""

    def _run_script(self, rerun_data: RerunData) -> None:
        """Run it, unless a timer of a page that is no longer shown asks for it."""
        shown = self._pages_manager.current_page_script_hash
        if not (rerun_data.is_auto_rerun and shown and rerun_data.page_script_hash not in ("", shown)):
            super()._run_script(rerun_data)


def end_with_their_page() -> None:
    """For every browser tab that this server will have."""
    app_session.ScriptRunner = Runner  # type: ignore[attr-defined]
