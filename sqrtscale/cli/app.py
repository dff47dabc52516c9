"""``sqrtscale app``: the app of a checkout, without its scripts."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..rules.errors import whole
from .shared import BadInput


def run_app(options: argparse.Namespace) -> int:
    """``sqrtscale app``"""
    port = whole("port", options.port, 1, 8501, 65_535)
    app = Path(__file__).resolve().parents[2] / "app.py"
    if not app.exists():
        raise BadInput("the app's pages are not installed here: get the whole project and run ./scripts/app")
    os.chdir(app.parent)  # where .streamlit/config.toml is
    headless = not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))  # without a display: only the address
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(port),
                              "--server.headless", str(headless).lower()])
