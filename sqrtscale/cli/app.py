"""``sqrtscale app``: the app, of a checkout or as it was installed, from any folder."""

from __future__ import annotations

import argparse
import os
import sys

from ..home import app_folder
from ..rules.errors import whole
from .shared import BadInput


def run_app(options: argparse.Namespace) -> int:
    """``sqrtscale app``"""
    port = whole("port", options.port, 1, 8501, 65_535)
    app = app_folder() / "app.py"
    if not app.exists():
        raise BadInput(f"the app's pages are not beside the package (no {app}): install the wheel, or get the whole project")
    headless = not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))  # without a display: only the address
    # -P: a file of the working folder must not pass for a library.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "streamlit", "run", str(app), "--server.port", str(port),
                              "--server.headless", str(headless).lower()])
