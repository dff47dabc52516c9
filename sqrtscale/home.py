"""Where sqrtscale keeps what must stay: the database and one folder per calibration."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED_APP = PACKAGE / "_app"  # where a wheel has what lies beside the package in a checkout
# What sqrtscale makes in a home, by such names that a folder which holds other things too keeps those as they are.
MADE = ("sqrtscale.db*", "gpus*.json", "calibrations/*", "locks/*.lock", "tasks/*.json", "errors/*.txt", "backups/sqrtscale-*")
CLOSED = ".sqrtscale-closed"  # in a home whose former content is closed


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


def owner_only(path: str, flags: int) -> int:
    """An ``opener`` for :func:`open`: a file that it makes is for its owner alone, whatever the umask."""
    return os.open(path, flags, 0o600)


def private_folder(folder: Path) -> Path:
    """That folder of the home, made where it is missing: what is made here, the home included, is for its owner alone."""
    place = home()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close_former(place)
    if folder.is_relative_to(place):
        for part in folder.relative_to(place).parts:
            place /= part
            place.mkdir(mode=0o700, exist_ok=True)
    return folder


@cache
def _close_former(place: Path) -> None:
    """Close what an earlier version has left open in a home, once: who opens it to others later has a reason.

    A folder that was chosen with SQRTSCALE_HOME may be anything, ~ or /tmp: it keeps its mode, and so does what is not ours.
    """
    with suppress(OSError):  # a file system that is read-only
        if (place / CLOSED).exists():
            return
        former = [path for pattern in MADE for path in place.glob(pattern)]
        for path in former if os.environ.get("SQRTSCALE_HOME") else [*former, place]:
            if not path.is_symlink() and path.stat().st_uid == os.geteuid():
                path.chmod(path.stat().st_mode & 0o7700)
        os.close(os.open(place / CLOSED, os.O_CREAT | os.O_WRONLY, 0o600))
