"""``check --sharpness``: up to which kappa the steps bear the curvature, by the command's own parser."""

import pytest

from sqrtscale.cli import main

BASE = ["check", "--optimizer", "rmsprop", "--lr", "1e-3", "--batch", "100", "--decay-form", "half-life"]


def test_within_the_limit_check_says_how_far_it_reaches(capsys):
    # 2 / lr = 2,000 and lr' S' = kappa lr S: a sharpness of 100 is borne up to 20 times the batch.
    assert main([*BASE, "--target", "400", "--sharpness", "100"]) == 0
    assert "curvature: the steps bear a sharpness of 100 up to kappa = 20" in capsys.readouterr().out


def test_beyond_the_limit_is_out_of_range_and_says_what_helps(capsys):
    assert main([*BASE, "--target", "400", "--sharpness", "1000"]) == 1
    out = capsys.readouterr().out
    assert "The steps bear the curvature up to kappa = 2 (the base is at 50.0% of its limit)" in out and "beta1" not in out
    assert main([*BASE, "--target", "400", "--sharpness", "3000"]) == 1
    assert "The base itself is at 150% of the sharpness that its steps bear" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["0", "-1", "nan", "x"])
def test_what_is_no_sharpness_is_one_line_and_exit_code_2(value, capsys):
    assert main([*BASE, "--target", "400", "--sharpness", value]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and "sharpness" in said.err
