"""``--noise-scale``: the noise-aware transfer beside the rule, by the installed command's own parser."""

from __future__ import annotations

import json
import math

import pytest

from sqrtscale.cli import main

BASE = ["--optimizer", "adamw", "--lr", "1e-3", "--batch", "256", "--target", "1024", "--noise-scale"]
ROOT = math.sqrt((1 + 567 / 1024) / (1 + 567 / 256))  # of v' / v


def test_scale_shows_both(capsys):
    assert main(["scale", *BASE, "567"]) == 0
    out = capsys.readouterr().out
    lr = next(line.split() for line in out.splitlines() if line.startswith("lr "))
    assert lr[1:3] == ["0.001", "0.002"] and float(lr[3]) == pytest.approx(4e-3 * ROOT, rel=1e-7)
    assert "The larger batch is 1.8 times your noise scale: the square root falls short by 28%." in out


def test_json_has_both(capsys):
    assert main(["scale", *BASE, "567", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["noise_scale"] == 567 and answer["noise_aware"].keys() == answer["scaled"].keys()
    assert answer["scaled"]["lr"] == 2e-3 and answer["noise_aware"]["lr"] == pytest.approx(4e-3 * ROOT)
    assert answer["noise_aware"]["weight_decay"] == pytest.approx(0.01 / ROOT)
    assert main(["scale", *BASE[:-1], "--json"]) == 0
    assert not {"noise_scale", "noise_aware"} & json.loads(capsys.readouterr().out).keys()


def test_an_export_has_the_noise_aware_values(capsys):
    assert main(["scale", *BASE, "567", "--export", "pytorch"]) == 0
    code = capsys.readouterr().out
    assert float(code.partition("lr=")[2].partition(",")[0]) == pytest.approx(4e-3 * ROOT)
    assert "noise-aware transfer, noise scale 567" in code and "square-root" not in code


def test_check_says_when_the_square_root_is_not_the_rule_for_these_batches(capsys):
    assert main(["check", *BASE, "567"]) == 1
    assert "falls short by 28%. Take the noise-aware values" in capsys.readouterr().out
    assert main(["check", *BASE, "1e6"]) == 0


@pytest.mark.parametrize("value", ["x", "0", "-3", "nan", "inf"])
def test_what_is_no_noise_scale_is_one_line_and_exit_code_2(value, capsys):
    assert main(["scale", *BASE, value]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and "is not a noise scale: give a finite number above 0" in said.err
