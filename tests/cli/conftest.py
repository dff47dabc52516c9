"""What tests of several commands use."""

from types import SimpleNamespace

import pytest

from sqrtscale.cli import main


@pytest.fixture
def sqrtscale(capsys):
    """A command in this process, which has loaded everything already: its exit code and what it prints."""
    def command(*arguments):
        code = main([*map(str, arguments)])
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return command
