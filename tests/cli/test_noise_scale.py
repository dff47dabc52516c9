"""``--noise-scale``: the noise-aware transfer beside the rule, by the installed command's own parser."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import pytest
import stored

from sqrtscale.cli import main
from sqrtscale.cli.noise_scale import noise_scale_of
from sqrtscale.plan import WARM_START
from sqrtscale.rules.signal import NoiseScaleCurve
from sqrtscale.store import Store

BASE = ["--optimizer", "adamw", "--lr", "1e-3", "--batch", "256", "--target", "1024", "--noise-scale"]
ROOT = math.sqrt((1 + 567 / 1024) / (1 + 567 / 256))  # of v' / v


def test_a_meters_file_is_pooled_and_points_without_signal_are_left_out(tmp_path, capsys):
    """Noise scales 10 at the start, then (30 + 30) / (1 + 2) from 1,000 and 1,400 samples together; the last saw no signal."""
    lines = [(0, 10.0, 1.0), (1000, 30.0, 1.0), (1400, 30.0, 2.0), (9000, 5.0, -1.0)]
    path = tmp_path / "noise.jsonl"
    path.write_text("".join(json.dumps({"samples": s, "noise": n, "signal": g, "clipped": 0.0}) + "\n" for s, n, g in lines))
    assert main(["scale", "--optimizer", "adamw", "--batch", "8", "--lr", "1e-3", "--target", "32", "--noise-scale", str(path),
                 "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["noise_scale"] == [[0, 10], [1000, 30], [1400, 20]]
    path.write_text('{"samples": 1, "noise": 2}\n')
    assert main(["scale", "--optimizer", "adamw", "--batch", "8", "--lr", "1", "--target", "32", "--noise-scale", str(path)]) == 2
    assert "line 1 is" in (error := capsys.readouterr().err) and "NoiseMeter has written" in error


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


def test_check_says_how_far_a_target_may_go_by_the_noise_scale(capsys):
    assert main(["check", *BASE, "5670"]) == 0
    kappa = next(float(line.partition("kappa = ")[2].split(",")[0]) for line in capsys.readouterr().out.splitlines()
                 if line.startswith("noise: "))
    assert math.sqrt((256 + 5670) / (256 * kappa + 5670)) == pytest.approx(0.9, rel=2e-3)  # the share of lr that is left
    assert main(["check", "--optimizer", "sgd", *BASE[2:], "567"]) == 0  # whose lr does not follow it
    assert "noise" not in capsys.readouterr().out


def refused(capsys, value: str, said: str) -> None:
    for command in ("scale", "check"):
        assert main([command, *BASE, value]) == 2
        answer = capsys.readouterr()
        assert not answer.out and answer.err.count("\n") == 1 and answer.err.rstrip("\n").isprintable() and said in answer.err


@pytest.mark.parametrize("value", ["x", "0", "-3", "nan", "inf", "1e16", "9" * 5000, "", "points.csv", "1" * 11 + "g"])
def test_what_is_no_noise_scale_is_one_line_and_exit_code_2(value, capsys):
    refused(capsys, value, "is not a noise scale: give a finite number above 0")


COURSE = [(0, 10), (8000, 40.0), (32000, 4e1)]


@pytest.mark.parametrize("text", [
    "samples,noise_scale\n0,10\n8000,40\n32000,4e1\n", "0,10\n8000,40.0\n32000,40",
    "\ufeffsamples,noise_scale\r\n0,10\r\n8000,40\r\n32000,40\r\n\r\n",
    'arm, noise_scale , samples\nbase, 10,0\n"a,b",40,8000\nbase,40, 32000', "[[0, 10], [8000, 40], [32000, 40]]",
    ' [{"samples": 0, "noise_scale": 10, "seed": 1}, {"noise_scale": 40, "samples": 8000}, [32000, 40.0]]'])
def test_a_file_of_points_is_read(tmp_path, text):
    (tmp_path / "points").write_bytes(text.encode())
    assert noise_scale_of(str(tmp_path / "points")) == (NoiseScaleCurve.of(COURSE), ())


@pytest.mark.parametrize("text, said", [
    ("", "is empty"), (" \n\n", "is empty"), ("samples,noise_scale\n", "is no course"), ("[]", "is no course"),
    ("{}", "line 1 is {}"), ("\x00\x01", "its first line"), (b"\xff\xfe\x00", "is no text"), (b"\x80\x02}q\x00.", "is no text"),
    ("hello", "its first line is 'hello'"), ("samples,noise_scale\n0,10\n5,many", "line 3 is '5,many'"),
    ("samples,noise_scale\n0", "line 2 is '0'"), ("0;10\n5;20", "first line"), ("a,b\n1,2", "line 1 is 'a,b'"),
    ("1,2\n3,nan", "is not a noise scale"), ("1,2\n3,-4", "is not a noise scale"), ("1,2\n3,0", "is not a noise scale"),
    ("0,1\n0,2", "rising"), ("5,1\n4,2", "rising"), ("-1,1\n4,2", "rising"), ("1e16,1", "rising"), ("inf,1", "is no course"),
    ("[[0, 1], [5]]", "entry 2 is [5]"), ('[{"samples": 1}]', "entry 1 is"),
    ('[{"samples": [], "noise_scale": 1}]', "is no course"), ("[1, 2]", "entry 1 is 1"),
    ("[[0, true]]", "is not a noise scale"), ("[[0, null]]", "is not a noise scale"), ("[[0, NaN]]", "is not a noise scale"),
    ('[["0", 1]]', "is no course"), ("[[0, 1]", "line 1 column"), ("[" * 100_000, "has no points"),
    (f"[[0, {'9' * 5000}]]", "has no points"),
    ("samples,noise_scale\n" + "".join(f"{i},1\n" for i in range(10_001)), "10,001 points"),
    (" " * (2**20 + 1), "is too large"), ('"' + "a" * 200_000, "has no points")])
def test_a_file_that_holds_no_course_is_one_line_and_exit_code_2(tmp_path, capsys, text, said):
    (tmp_path / "points.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(capsys, str(tmp_path / "points.csv"), said)


def test_what_is_no_file_is_one_line_and_exit_code_2(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    refused(capsys, str(tmp_path), "Is a directory")
    refused(capsys, str(tmp_path / "pipe"), "is no ordinary file")


def test_a_course_gives_lr_over_samples_seen(tmp_path, capsys):
    """b = 10 at the start and 40 from the second point on; the fields take its geometric mean over the run of 1,000 steps."""
    (tmp_path / "points.json").write_text(json.dumps(COURSE))
    base = ["--optimizer", "adamw", "--lr", "1e-3", "--batch", "8", "--target", "64", "--steps", "1000", "--noise-scale",
            str(tmp_path / "points.json")]
    start, end, mean = (math.sqrt(8 * (64 + b) / (8 + b)) for b in (10, 40, 20))
    assert main(["scale", *base, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["noise_scale"] == [[0, 10], [8000, 40], [32000, 40]]
    aware = answer["noise_aware"]
    assert [value for _, value in aware.pop("lr_factors")] == pytest.approx([start, end])
    assert aware.keys() == answer["scaled"].keys() and aware["lr"] == pytest.approx(1e-3 * mean)
    assert main(["scale", *base]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith(("0 ", "8000 "))]
    assert rows == [["0", "10", f"{start:.4g}"], ["8000", "40", f"{end:.4g}"]] and "noise scale 20 on average" in out


def test_an_export_of_a_course_has_lr_over_samples_seen(tmp_path, capsys):
    (tmp_path / "points.json").write_text(json.dumps(COURSE))
    assert main(["scale", "--optimizer", "adamw", "--lr", "1e-3", "--batch", "8", "--target", "64", "--noise-scale",
                 str(tmp_path / "points.json"), "--export", "pytorch"]) == 0
    code = capsys.readouterr().out
    names = {}
    exec("from bisect import bisect\n" + code[code.index("LR_FACTORS"):code.index("\n\n\n", code.index("def lr_factor"))], names)
    lr = float(code.partition("lr=")[2].partition(",")[0])
    for samples, noise in COURSE:
        assert lr * names["lr_factor"](samples) == pytest.approx(1e-3 * math.sqrt(8 * (64 + noise) / (8 + noise)), rel=1e-3)


def test_a_long_course_is_printed_in_part(tmp_path, capsys):
    (tmp_path / "points.json").write_text(json.dumps([[i, 5 + i] for i in range(500)]))
    assert main(["scale", *BASE, str(tmp_path / "points.json")]) == 0
    out = capsys.readouterr().out
    table = out.partition("samples")[2].splitlines()[1:]
    rows = [int(line.split()[0]) for line in table if line[:1].isdigit()]
    assert (rows[0], rows[-1], len(rows)) == (0, 499, 12) and rows == sorted(set(rows)) and "488 more points" in out


@pytest.fixture
def store(home):
    opened = Store.open()
    yield opened
    opened.close()


def calibration(store, signal) -> str:
    """A stored calibration with the noise measured at both ends: 100 a sample over ``signal`` by seed."""
    chosen = stored.plan()
    return stored.calibration(store, measured=[
        replace(point, values=point.values | ({"noise": 100.0, "signal": signal[point.seed]}
                                              if point.arm != WARM_START and point.samples in (0, chosen.samples) else {}))
        for point in stored.points(chosen)])


def test_a_stored_calibration_gives_its_base_runs_with_their_interval(store, capsys):
    id = calibration(store, [1.0, 1.02])
    value, (low, high) = noise_scale_of(id)
    assert value.points == ((0.0, pytest.approx(100 / 1.01)), (6400.0, pytest.approx(100 / 1.01)))
    assert all(low.at(at) < value.at(at) < high.at(at) for at in (0, 6400))
    assert main(["scale", *BASE, id]) == 0
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("lr: "))
    factor, low, high = (math.sqrt(4 * (1024 + b) / (256 + b)) for b in (100 / 1.01, high.at(0), low.at(0)))
    assert said == (f"lr: {factor:.3g} times the base's, by its 95% interval between {low:.3g} and {high:.3g} times")
    assert main(["scale", *BASE, id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["noise_aware"]["lr_factor_between"] == pytest.approx([low, high])


def test_a_stored_calibration_that_cannot_tell_is_one_line_and_exit_code_2(store, capsys):
    refused(capsys, stored.calibration(store), "has not measured it")
    refused(capsys, calibration(store, [-1.0, 0.5]), "saw no signal, only noise: take the square-root rule")
    refused(capsys, "abcdef", "is not a stored calibration")


def test_an_interval_without_an_end_reaches_from_the_square_root_to_the_linear_rule(store):
    _, (low, high) = noise_scale_of(calibration(store, [3.0, -1.0]))
    assert low.at(0) < 100 and high.at(0) == 1e15
