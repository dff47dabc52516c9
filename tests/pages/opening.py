"""One page of the app in Streamlit's own test harness, opened by its address."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


def page_at(page: str, **address: str | list[str]) -> AppTest:
    """The app at that page (``pages/results.py``) with what its address says, run once without an error."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.run()
    for name, value in address.items():
        app.query_params[name] = value
    app.switch_page(page).run()
    assert not app.exception
    return app
