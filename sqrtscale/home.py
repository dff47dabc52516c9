"""Where sqrtscale keeps what must stay: the database and one folder per calibration."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED_APP = PACKAGE / "_app"  # where a wheel has what lies beside the package in a checkout


def app_folder() -> Path:
    """The folder of app.py, pages/, static/ and .streamlit/: inside an installed package, else that of the checkout."""
    return INSTALLED_APP if INSTALLED_APP.is_dir() else PACKAGE.parent


def home() -> Path:
    """The home folder: SQRTSCALE_HOME, else ``data/`` of a checkout, else ``sqrtscale`` in the user's folder for data.

    That folder is ``$XDG_DATA_HOME``, else ``~/.local/share`` (XDG Base Directory Specification 0.8, where a relative path
    counts as none).
    """
    chosen = os.environ.get("SQRTSCALE_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    folder = app_folder()
    if folder != INSTALLED_APP and (folder / "app.py").is_file():
        return folder / "data"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "sqrtscale"


def database_file() -> Path:
    """The SQLite database, where no other is named."""
    return home() / "sqrtscale.db"


def calibration_folder(id: str) -> Path:
    """The folder of one calibration: its logs and its lock."""
    return home() / "calibrations" / id
