"""Where sqrtscale keeps what must stay: the database and one folder per calibration."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The home folder: SQRTSCALE_HOME, else ``data/`` of a checkout, else ``~/.local/share/sqrtscale``."""
    chosen = os.environ.get("SQRTSCALE_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "app.py").is_file():
        return checkout / "data"
    return Path.home() / ".local" / "share" / "sqrtscale"


def calibration_folder(id: str) -> Path:
    """The folder of one calibration: its logs and its lock."""
    return home() / "calibrations" / id
