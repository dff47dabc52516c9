"""``sqrtscale judge`` from files to exit codes, its numbers held to scipy's."""

import json
import re
import shlex

import numpy as np
import pytest
from scipy import stats

from sqrtscale.cli import main
from sqrtscale.cli.shared import open_store
from sqrtscale.report import REPORTS, judge_command, reported
from sqrtscale.store.export import FORMATS

BASE = ["--base-batch", "64", "--target", "256", "--x", "steps"]
POINTS = np.arange(0, 64_001, 2560)
END = POINTS >= 57_600  # the last tenth


@pytest.fixture
def logs(tmp_path, home, monkeypatch):
    """CSV files of four base and three runs of each other arm: linear ends 0.1 higher."""
    monkeypatch.chdir(tmp_path)
    values = {}
    random = np.random.default_rng(3)
    for arm, batch, seeds, shift in (("base", 64, 4, 0.0), ("scaled", 256, 3, 0.0), ("linear", 256, 3, 0.1)):
        for seed in range(seeds):
            curve = 1 + np.exp(-POINTS / 20_000) + shift + random.normal(0, 0.003) + random.normal(0, 0.0005, len(POINTS))
            lines = [f"{step},{value!r}" for step, value in zip(POINTS // batch, curve.tolist(), strict=True)]
            (tmp_path / f"{arm}-{seed}.csv").write_text("\n".join(["step,eval_loss", *lines]) + "\n")
            values[arm, seed] = curve
    return values


def judged(capsys, *arguments):
    code = main(["judge", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_match_with_a_control_and_its_interval(logs, capsys):
    code, answer = judged(capsys, "--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", "--arm", "linear=linear-*.csv", *BASE)
    scaled, linear = answer["verdicts"]["scaled"], answer["verdicts"]["linear"]
    assert code == 0 and scaled["outcome"] == "matches" and linear["outcome"] == "differs"
    ends = {arm: [curve[END].mean() for (name, _), curve in logs.items() if name == arm]
            for arm in ("base", "scaled")}
    expected = stats.ttest_ind(ends["scaled"], ends["base"], equal_var=False).confidence_interval(0.9)
    assert (scaled["low"], scaled["high"]) == pytest.approx((expected.low, expected.high))
    assert scaled["difference"] == pytest.approx(np.mean(ends["scaled"]) - np.mean(ends["base"]))
    assert answer["margin"] == pytest.approx(0.01 * np.mean(ends["base"]) + np.std(ends["base"], ddof=1))
    assert answer["metric"] == "eval_loss" and answer["paired"] is False and answer["regime"] == "not measured"
    assert "**" not in scaled["sentence"] and scaled["seeds"] == 3


def test_paired_runs_are_those_of_the_same_seed(logs, capsys):
    code, answer = judged(capsys, "--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", *BASE, "--paired", "--margin", "0.05")
    ends = {run: curve[END].mean() for run, curve in logs.items()}
    differences = [ends["scaled", seed] - ends["base", seed] for seed in range(3)]
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    scaled = answer["verdicts"]["scaled"]
    assert code == 0 and (scaled["low"], scaled["high"]) == pytest.approx((expected.low, expected.high))
    assert answer["margin"] == 0.05 and answer["paired"] is True


@pytest.mark.parametrize("arm, code, outcome", [("sqrt=linear-*.csv", 3, "differs"), ("sqrt=scaled-0.csv", 4, "cannot tell")])
def test_exit_codes_tell_the_outcome(logs, capsys, arm, code, outcome):
    seen, answer = judged(capsys, "--base", "base-*.csv", "--arm", arm, *BASE)
    assert seen == code and answer["verdicts"]["sqrt"]["outcome"] == outcome


def test_runs_of_one_file_are_chosen_by_name(logs, capsys, tmp_path):
    lines = ["Step," + ",".join(f"{arm}-{seed} - eval_loss" for arm in ("base", "scaled") for seed in range(3))]
    for step, place in zip(POINTS // 64, range(len(POINTS)), strict=True):
        row = [repr(float(logs[arm, seed][place])) for arm in ("base", "scaled") for seed in range(3)]
        lines.append(",".join([str(step), *row]))
    (tmp_path / "chart.csv").write_text("\n".join(lines) + "\n")
    code, answer = judged(capsys, "--base", "chart.csv::base-*", "--arm", "scaled@64=chart.csv::scaled-*", *BASE)
    assert code == 0 and answer["verdicts"]["scaled"]["seeds"] == 3
    with open_store() as store:
        plan = store.record(answer["id"]).plan
    assert [arm.batch_size for arm in plan.arms] == [64, 64] and plan.runs[0].files[0].name == "chart.csv"


def test_a_meter_beside_the_logs_says_whether_it_was_a_test(logs, capsys, tmp_path):
    for seed in range(4):
        random = np.random.default_rng(seed)
        measured = [(samples, 1.0 + random.normal(0, 0.05), 100 + random.normal(0, 5)) for samples in range(0, 64_000, 640)]
        lines = [json.dumps(dict(zip(("samples", "signal", "noise"), line, strict=True))) for line in measured]
        (tmp_path / f"base-{seed}.noise.jsonl").write_text("\n".join(lines) + "\n")
    code, answer = judged(capsys, "--base", "base-*.csv", "base-*.noise.jsonl", "--arm", "scaled=scaled-*.csv", *BASE)
    assert code == 4 and answer["verdicts"]["scaled"]["outcome"] == "not a test" and answer["regime"] == "signal"
    assert answer["noise_scale"]["low"] < 100 < answer["noise_scale"]["high"]


def test_what_is_stored_is_shown_listed_exported_and_reported(logs, capsys):
    _, answer = judged(capsys, "--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", *BASE, "--name", "from elsewhere")
    assert main(["runs", "show", answer["id"]]) == 0
    shown = capsys.readouterr().out
    assert "imported eval_loss" in shown and "unpaired: base (batch 64, 4 runs)" in shown
    assert "The regime was not measured" in shown
    assert main(["runs", "list"]) == 0 and "from elsewhere" in capsys.readouterr().out
    with open_store() as store:
        record = store.record(answer["id"])
        assert record.result.outcome == "matches" and record.state == "DONE"
        assert len(FORMATS["csv"](store, record).splitlines()) == 1 + 7 * len(POINTS)
        assert json.loads(FORMATS["json"](store, record))["plan"]["runs"][0]["files"][0]["name"] == "base-0.csv"
        for write in REPORTS.values():
            text = write(reported(store, record))
            assert "trained at batch 64 and at batch 256" in text and "sqrtscale judge --base base-0.csv" in text


def again(capsys, id):
    """(command, code, answer) of the command that a stored comparison is repeated with."""
    with open_store() as store:
        command = judge_command(store.record(id).plan)
    return command, *judged(capsys, *shlex.split(command.replace("\\\n", " "))[2:])


def sweep(path, names, shift=0.0, head="run,step,eval_loss"):
    """A table of several runs, the same but for 0.01 between neighbours."""
    rows = [f"{name},{step},{1 + 1 / step + shift + 0.01 * place}" for place, name in enumerate(names) for step in range(1, 51)]
    path.write_text("\n".join([head, *rows]) + "\n")


def test_an_arm_at_the_target_decides_wherever_it_stands(logs, capsys):
    code, answer = judged(capsys, "--base", "base-*.csv", "--arm", "half@256=scaled-*.csv", "--arm", "full@512=linear-*.csv",
                          "--base-batch", "64", "--target", "512", "--x", "steps")
    assert code == 3 and list(answer["verdicts"]) == ["full", "half"] and answer["verdicts"]["half"]["outcome"] == "matches"
    command, code, repeated = again(capsys, answer["id"])
    assert "--target 512" in command and code == 3 and {**repeated, "id": ""} == {**answer, "id": ""}


@pytest.mark.parametrize("names, base, command", [
    (["s", "sw", "t1", "t2"], ["sweep.csv::s*"], "--base sweep.csv::s sweep.csv::sw"),
    (["sweep", "sw", "t1", "t2"], ["sweep.csv::s*"], "--base sweep.csv::sweep sweep.csv::sw"),
    (["a [1]", "a [2]", "t[1]", "t[2]"], ["sweep.csv::a [1]", "sweep.csv::a [2]"], "'sweep.csv::a [1]' 'sweep.csv::a [2]'")])
def test_runs_of_a_file_of_several_are_named_again_by_name(home, tmp_path, monkeypatch, capsys, names, base, command):
    monkeypatch.chdir(tmp_path)
    sweep(tmp_path / "sweep.csv", names)
    _, answer = judged(capsys, "--base", *base, "--arm", "scaled@64=sweep.csv::t*", *BASE)
    said, _, repeated = again(capsys, answer["id"])
    assert command in said and {**repeated, "id": ""} == {**answer, "id": ""}
    with open_store() as store:
        assert [run.name for run in store.record(repeated["id"]).plan.runs] == names


def test_runs_of_one_name_in_two_files_are_not_taken_for_one(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep(tmp_path / "LA.csv", ["s1", "s2"])
    sweep(tmp_path / "LB.csv", ["s1", "s2"], 5)
    sweep(tmp_path / "T.csv", ["t1", "t2"])
    assert main(["judge", "--base", "LA.csv::s1", "LB.csv::s*", "--arm", "scaled=T.csv", *BASE]) == 2
    assert "base = 's1' is a run of LA.csv and another one of LB.csv: leave one out" in capsys.readouterr().err
    _, answer = judged(capsys, "--base", "LA.csv::s1", "LA.csv::s*", "--arm", "scaled=T.csv", *BASE)
    with open_store() as store:
        assert [run.name for run in store.record(answer["id"]).plan.runs] == ["s1", "s2", "t1", "t2"]


def test_a_run_of_a_file_of_several_keeps_its_curve_beside_its_meter(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep(tmp_path / "sweep.csv", ["s1", "s2", "t1", "t2"])
    lines = [json.dumps({"samples": 64 * place, "signal": 1, "noise": 9000}) for place in range(1, 50)]
    (tmp_path / "s1.noise.jsonl").write_text("\n".join(lines) + "\n")
    _, answer = judged(capsys, "--base", "sweep.csv::s?", "s1.noise.jsonl", "--arm", "scaled@64=sweep.csv::t?", *BASE)
    assert answer["verdicts"]["scaled"]["seeds"] == 2 and answer["noise_scale"]["value"] == pytest.approx(9000)
    assert again(capsys, answer["id"])[2]["noise_scale"] == answer["noise_scale"]


def test_unpaired_runs_are_not_called_seeds(logs, tmp_path, capsys):
    lines = (tmp_path / "scaled-2.csv").read_text().splitlines()
    (tmp_path / "scaled-2.csv").write_text("\n".join([*lines[:-3], *(f"{line.split(',')[0]},NaN" for line in lines[-3:])]) + "\n")
    _, answer = judged(capsys, "--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", *BASE)
    assert main(["runs", "show", answer["id"]]) == 0
    shown = capsys.readouterr().out
    assert "scaled, scaled-2: DIVERGED" in shown and "seed" not in shown and re.search(r"std +runs +against base", shown)
    with open_store() as store:
        page = REPORTS["md"](reported(store, store.record(answer["id"])))
    assert "| Margin | Runs |" in page and "| 2 against 4 |" in page
    assert "known. NoiseMeter measures it" in page


def test_the_command_of_a_report_judges_the_same_again(logs, capsys):
    _, answer = judged(capsys, "--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", "--arm", "linear=linear-*.csv", *BASE,
                       "--paired", "--from-samples", "5000", "--margin", "0.03")
    _, _, repeated = again(capsys, answer["id"])
    assert {**repeated, "id": ""} == {**answer, "id": ""}


@pytest.mark.parametrize("arguments, words", [
    (["--base", "none-*.csv", "--arm", "scaled=scaled-*.csv", *BASE], "base = 'none-*.csv' is not there"),
    (["--base", "base-*.csv", "--arm", "scaled-*.csv", *BASE], "names no arm and its logs"),
    (["--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", *BASE[:4]], "x = '' is not said: the logs have step"),
    (["--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", *BASE[:4], "--x", "epochs"], "x = 'epochs' is not known"),
    (["--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", "--base-batch", "0", *BASE[2:]], "base-batch = 0 is not allowed"),
    (["--base", "base-*.csv::other", "--arm", "scaled=scaled-*.csv", *BASE], "base = 'other' is no run of these files"),
    (["--base", "base-*.csv", "--arm", "scaled=scaled-*.csv", *BASE, "--margin", "-1"], "margin = -1 is no margin"),
    (["--base", "base-*.csv", "--arm", "base=scaled-*.csv", *BASE, "--paired"], "has a name twice"),
    (["--base", "base-*.csv", "--arm", "scaled=base-*.csv", *BASE], "is given twice, for base and for scaled"),
    (["--base", "base-*.csv", "--arm", "scaled=empty.csv", *BASE], "is empty"),
])
def test_bad_input_is_one_line_and_nothing_is_stored(logs, tmp_path, capsys, arguments, words):
    (tmp_path / "empty.csv").write_text("")
    assert main(["judge", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err and err.count("\n") == 1 and not out
    with open_store() as store:
        assert store.count() == 0
