"""What every test may use: a home of its own, both databases."""

import os
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on what else this machine does.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Read when torch is first loaded: waiting threads must not spin on the few cores that tests share.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

TESTS = Path(__file__).parent
TIERS = {  # folder or file -> marker of all tests in it
    "browser": "browser",
    "gpu": "training",
    "runner": "process",
    "training": "training",
    "tasks": "training",
    "transfer": "training",
    "cli/test_transfer_commands.py": "process",
    "cli/test_own_calibrations.py": "process",
    "formats/test_syntax_limits.py": "slow",
    "test_types.py": "slow",
}


@pytest.hookimpl(tryfirst=True)  # before the markers that were asked for choose among the tests
def pytest_collection_modifyitems(items):
    """Single tests of other folders carry their marker themselves."""
    for item in items:
        for part, tier in TIERS.items():
            if item.path.is_relative_to(TESTS / part):
                item.add_marker(tier)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Nothing that a test stores reaches the user's own home."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SQRTSCALE_HOME", str(folder))
    monkeypatch.delenv("SQRTSCALE_DATABASE_URL", raising=False)
    return folder


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """One PostgreSQL server for the whole session."""
    from databases import PostgreSQL

    with PostgreSQL(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database' / 'test.db'}"
    return request.getfixturevalue("postgresql").database(f"t{uuid.uuid4().hex[:12]}")
