"""Where things are kept when nobody says so."""

from pathlib import Path

import pytest

from sqrtscale import home as home_module
from sqrtscale.home import app_folder, home

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def a_user(home, tmp_path, monkeypatch):
    """Somebody who has set nothing but the home folder of the account."""
    monkeypatch.delenv("SQRTSCALE_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The app inside the package, as a wheel has it."""
    app = tmp_path / "site-packages" / "sqrtscale" / "_app"
    app.mkdir(parents=True)
    (app / "app.py").touch()
    monkeypatch.setattr(home_module, "INSTALLED_APP", app)
    return app


def test_a_checkout_keeps_its_data_beside_the_package():
    assert app_folder() == ROOT
    assert home() == ROOT / "data"


def test_an_installed_package_keeps_data_in_the_users_folder(installed, tmp_path):
    assert app_folder() == installed
    assert home() == tmp_path / ".local" / "share" / "sqrtscale"


@pytest.mark.parametrize(("chosen", "expected"), [("/srv/data", "/srv/data"), ("data", "~/.local/share"), ("", "~/.local/share")])
def test_the_users_folder_may_be_another_but_not_a_relative_one(installed, monkeypatch, chosen, expected):
    monkeypatch.setenv("XDG_DATA_HOME", chosen)
    assert home() == Path(expected).expanduser() / "sqrtscale"


def test_what_is_asked_for_stands_above_all(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    monkeypatch.setenv("SQRTSCALE_HOME", "~/own")
    assert home() == tmp_path / "own"
