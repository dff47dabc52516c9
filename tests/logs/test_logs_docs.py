"""The page on logs names every reader, and its example runs."""

import re
from pathlib import Path

from log_samples import put

from sqrtscale import logs

PAGE = (Path(__file__).parents[2] / "docs" / "logs.md").read_text()


def test_every_reader_has_its_line():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
    assert dict(rows) == {name: reader.TITLE for name, reader in logs.readers().items()} and len(rows) == len(logs.NAMES)


def test_the_general_readers_are_the_last_ones():
    general = [name for name, reader in logs.readers().items() if getattr(reader, "GENERAL", False)]
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)[-3:]) == set(general)


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    put(tmp_path / "runs/base", "hf/base-1/trainer_state.json")
    put(tmp_path / "runs/scaled", "wide.csv")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert "eval_loss" in capsys.readouterr().out


def test_the_names_that_the_page_says_count_points():
    from sqrtscale.logs._axes import axis_of

    for axis, names in re.findall(r"^- \*\*(\w+)\*\*: (.+) \.\.\.$", PAGE, re.MULTILINE):
        assert {axis_of(name) for name in names.split(", ")} == {axis}
