"""Tables, JSON lines and text: what is an axis, what is a metric, which run a row belongs to."""

import gzip
import math

import pytest
from log_samples import LOSS, POINTS, SAMPLES, STEPS, put

from sqrtscale import logs
from sqrtscale.rules import FieldError


def read(tmp_path, text, name="log.csv", **given):
    path = tmp_path / "run-1" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return logs.read(path, **given)


def points(curve, *columns):
    return list(curve.points[list(columns or ("step", "value"))].itertuples(index=False, name=None))


SAME = {  # sample -> (runs, metric): all of them hold the same losses
    "chart.csv": ("base-1", "train/loss"),
    "wandb/base-1.jsonl": ("base-1", "train/loss"),
    "wandb/run-abc.wandb": ("base-1", "train/loss"),
    "hf/base-1/trainer_state.json": ("base-1", "loss"),
    "lightning/version_0/metrics.csv": ("lightning/version_0", "train_loss"),
    "mlflow.db": ("base-1", "loss"),
    "trackio.db": ("base-1", "loss"),
    "trackio.json": ("base-1", "loss"),
    "points.jsonl": ("points", "train.loss"),
    "points.json": ("points", "loss"),
    "wide.csv": ("wide", "train loss"),
    "european.csv": ("european", "loss"),
    "mlruns/0/a1/metrics/train/loss": ("base-1", "train/loss"),
}


@pytest.mark.parametrize("name", SAME)
def test_every_sample_has_the_same_losses(name, tmp_path):
    run, metric = SAME[name]
    values = dict(points(logs.read(put(tmp_path, name))[run].curves[metric]))
    steps = [step * (5 if name.endswith(".wandb") else 1) // (10 if name.endswith(".wandb") else 1) for step in STEPS]
    made = 1 if name.startswith("lightning") else 0  # its step 0 is the first one made
    expected = {step + made: loss for step, loss in zip(steps, LOSS, strict=True)}
    assert values == ({step: value for step, value in expected.items() if step} if "trainer_state" in name else expected)


def test_a_wandb_chart_leaves_the_twins_out_and_says_so(tmp_path):
    log = logs.read(put(tmp_path, "chart.csv"))
    assert [(run.name, list(run.curves)) for run in log.runs] == [("base-1", ["train/loss"]), ("base-2", ["train/loss"])]
    assert any("__MIN and __MAX" in note for note in log.notes) and any("mean of several" in note for note in log.notes)
    every_point = read(tmp_path, "Step,a - loss,a - loss__MIN,a - loss__MAX\n1,2.5,2.5,2.5\n2,1.5,1.5,1.5\n")
    assert not any("mean of several" in note for note in every_point.notes)


def test_a_wandb_chart_has_the_runs_of_its_columns_whatever_they_are_called(tmp_path):
    log = read(
        tmp_path, '"train/global_step","lr 1e-3 - seed 2 - eval/loss","lr 1e-3 - seed 2 - _step"\n"50","2.5","1"\n"100","","2"\n'
    )
    assert points(log["lr 1e-3 - seed 2"].curves["eval/loss"]) == [(50, 2.5)] and not log.notes


def test_missing_is_not_nan(tmp_path):
    curve = read(tmp_path, "step,loss\n1,2.5\n2,\n3,NaN\n4,inf\n5,None\n6,nan\n")["run-1"].curves["loss"]
    assert [step for step, _ in points(curve)] == [1, 3, 4, 6] and curve.not_a_number == 2 and points(curve)[2] == (4, math.inf)


def test_cells_with_text_are_told_and_columns_of_text_are_no_metric(tmp_path):
    log = read(tmp_path, "step,loss,phase,ok\n1,2.5,a,True\n2,oops,b,False\n3,1.5,c,True\n")
    assert list(log["run-1"].curves) == ["loss"] and "log.csv: 1 cells of loss hold no number." in log.notes


def test_numbers_are_read_to_the_last_digit(tmp_path):
    numbers = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308]
    for name, text in (
        ("a.csv", "step,x\n" + "".join(f"{i},{x!r}\n" for i, x in enumerate(numbers))),
        ("a.jsonl", "".join(f'{{"step": {i}, "x": {x!r}}}\n' for i, x in enumerate(numbers))),
    ):
        assert [value for _, value in points(read(tmp_path, text, name)["a"].curves["x"])] == numbers


def test_a_long_table_has_a_run_and_metric_in_each_row(tmp_path):
    log = logs.read(put(tmp_path, "long.csv"))
    assert [run.name for run in log.runs] == ["base-1", "base-2"]
    assert points(log["base-2"].curves["loss"]) == [(step, loss + 2) for step, loss in POINTS]


def test_our_own_export_gives_a_run_for_every_arm_and_seed(tmp_path):
    log = read(
        tmp_path, "arm,seed,metric,samples,value\nbase,0,val_loss,64,2.5\nscaled,0,val_loss,64,2.25\nbase,1,val_loss,64,2\n"
    )
    assert {run.name: points(run.curves["val_loss"], "samples", "value") for run in log.runs} == {
        "base seed 0": [(64, 2.5)],
        "scaled seed 0": [(64, 2.25)],
        "base seed 1": [(64, 2)],
    }


def test_a_wide_table_may_name_runs_too(tmp_path):
    log = read(tmp_path, "run,step,loss\n1,1,2.5\n2,1,3.5\n1,2,1.5\n")
    assert {run.name: points(run.curves["loss"]) for run in log.runs} == {"1": [(1, 2.5), (2, 1.5)], "2": [(1, 3.5)]}


def test_tensorboards_own_download_has_run_and_tag_in_its_name(tmp_path):
    log = read(tmp_path, "Wall time,Step,Value\n1.5,10,2.5\n", "run-base_1-tag-train_loss.csv")
    assert points(log["base_1"].curves["train_loss"], "step", "wall_time", "value") == [(10, 1.5, 2.5)]


def test_what_is_ambiguous_is_asked_and_the_answer_taken(tmp_path):
    text = "step,iteration,loss\n1,10,2.5\n2,20,1.5\n"
    with pytest.raises(
        FieldError, match="several columns that may count steps, step and iteration: say which it is, for example step=step"
    ):
        read(tmp_path, text)
    curve = read(tmp_path, text, names={"step": "iteration"})["run-1"].curves["loss"]
    assert points(curve) == [(10, 2.5), (20, 1.5)] and list(read(tmp_path, text, names={"step": "iteration"}).metrics) == ["loss"]
    assert points(read(tmp_path, text.replace("10", "1").replace("20", "2"))["run-1"].curves["loss"]) == [
        (1, 2.5),
        (2, 1.5),
    ]  # the same
    with pytest.raises(FieldError, match="no column that counts steps, samples, tokens or epochs: name one"):
        read(tmp_path, "when,loss\n1,2\n")
    assert points(read(tmp_path, "when,loss\n1,2\n", names={"tokens": "when"})["run-1"].curves["loss"], "tokens", "value") == [
        (1, 2)
    ]
    with pytest.raises(FieldError, match="no column 'nowhere'"):
        read(tmp_path, "when,loss\n1,2\n", names={"step": "nowhere"})
    with pytest.raises(FieldError, match="names = 'steps' is not known"):
        read(tmp_path, text, names={"steps": "iteration"})


def test_columns_that_are_named_make_a_long_table(tmp_path):
    log = read(
        tmp_path,
        "model,what,step,amount\na,loss,1,2.5\nb,loss,1,3.5\n",
        names={"run": "model", "metric": "what", "value": "amount"},
    )
    assert {run.name: points(run.curves["loss"]) for run in log.runs} == {"a": [(1, 2.5)], "b": [(1, 3.5)]}


def test_json_lines_with_a_metric_by_name_a_run_and_tables_in_them(tmp_path):
    text = (
        '{"run": "a", "metric": "loss", "value": 2.5, "step": 1}\n{"run": "b", "metric": "loss", "value": 1.5, "step": 1}\n'
        '{"run": "a", "metric": "acc", "value": 0.5, "step": 1}\n'
    )
    assert {run.name: sorted(run.curves) for run in read(tmp_path, text, "log.jsonl").runs} == {
        "a": ["acc", "loss"],
        "b": ["loss"],
    }
    nested = read(
        tmp_path, '{"step": 1, "eval": {"loss": 2.5, "deep": {"x": 1}}, "image": {"_type": "image", "size": 3}}\n', "log.jsonl"
    )
    assert sorted(nested["run-1"].curves) == ["eval.deep.x", "eval.loss"]


def test_json_lines_that_are_still_being_written_lack_their_last_line(tmp_path):
    text = '{"step": 1, "loss": 2.5}\n{"step": 2, "lo'
    assert points(read(tmp_path, text, "log.jsonl")["run-1"].curves["loss"]) == [(1, 2.5)]
    with pytest.raises(FieldError, match="is broken at line 2"):
        read(tmp_path, text + '\n{"step": 3, "loss": 1}\n', "log.jsonl")


@pytest.mark.parametrize(
    "line, expected",
    [
        ("iter 100: loss 2.3, time 12.5ms, mfu 5.93%", {"step": 100, "loss": 2.3, "time": 12.5, "mfu": 5.93}),
        ("step 250: train loss 2.1, val loss 2.2", {"step": 250, "train loss": 2.1, "val loss": 2.2}),
        (
            "step:100/1750 val_loss:4.1 train_time:1000ms step_avg:10.5ms",
            {"step": 100, "val_loss": 4.1, "train_time": 1000, "step_avg": 10.5},
        ),
        (
            "step 00100/02000 (5.00%) | loss: 3.2345 | grad norm: 0.5 | tok/sec: 1,200,000 | mfu: 45.00",
            {"step": 100, "loss": 3.2345, "grad norm": 0.5, "tok/sec": 1_200_000, "mfu": 45},
        ),
        (
            " [2024-01-01 10:00:00] iteration      100/  500000 | consumed samples:        25600 "
            "| elapsed time per iteration (ms): 1234.5 | learning rate: 1.500000E-04 | lm loss: 6.789E+00 | grad norm: 1.234 |",
            {
                "step": 100,
                "consumed samples": 25_600,
                "elapsed time per iteration (ms)": 1234.5,
                "learning rate": 1.5e-4,
                "lm loss": 6.789,
                "grad norm": 1.234,
            },
        ),
        (
            "[0]:\x1b[31mstep: 10  \x1b[32mloss:  8.25  \x1b[38;2;1;2;3mgrad_norm:  1.5  memory: 0.52GiB(1%)  tps: 1,234\x1b[0m",
            {"step": 10, "loss": 8.25, "grad_norm": 1.5, "memory": 0.52, "tps": 1234},
        ),
        ("iter 7: loss -1.5e-3, norm -inf", {"step": 7, "loss": -1.5e-3, "norm": -math.inf}),
        ("step 250: saved checkpoint", {}),
        ("tokens per iteration will be: 12,288", {}),
        ("a step forward: 3", {}),
    ],
)
def test_a_line_of_a_training(line, expected):
    from sqrtscale.logs.text import pairs_of

    assert pairs_of(line) == expected


def test_lines_of_text_are_curves_over_steps(tmp_path):
    log = logs.read(put(tmp_path, "nanogpt.txt"))["nanogpt"]
    assert points(log.curves["loss"]) == [(step, round(loss, 4)) for step, loss in POINTS]
    assert points(log.curves["val loss"]) == [(0, 4.2823)]


def test_hugging_face_says_that_loss_is_an_average_over_logging_steps(tmp_path):
    log = logs.read(put(tmp_path, "hf/base-1/trainer_state.json"))
    run = log["base-1"]
    assert run.curves["loss"].window == 10 and run.curves["eval_loss"].window is None and "train_loss" not in run.curves
    assert any("mean over 10 steps" in note for note in log.notes)
    assert run.parameters["per_device_train_batch_size"] == "8" and run.parameters["logging_steps"] == "10"


def test_gzip_is_unpacked(tmp_path):
    path = tmp_path / "base-1.csv.gz"
    path.write_bytes(gzip.compress(SAMPLES["wide.csv"]))
    assert points(logs.read(path)["base-1"].curves["train loss"]) == POINTS


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    import sys

    import pandas as pd

    path = tmp_path / "a.parquet"
    pd.DataFrame({"step": [1, 2], "loss": [2.5, 1.5]}).to_parquet(path)
    assert points(logs.read(path)["a"].curves["loss"]) == [(1, 2.5), (2, 1.5)]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FieldError, match="needs pyarrow to be read: pip install pyarrow"):
        logs.read(path)


def test_a_metric_that_lacks_the_trainers_step_somewhere_stands_over_the_trackers(tmp_path):
    text = (
        '{"_step": 0, "_runtime": 1.0, "loss": 2.5, "global_step": 10}\n{"_step": 1, "_runtime": 2.0, "val": 2.25}\n'
        '{"_step": 2, "_runtime": 3.0, "loss": 1.5, "val": 1.25, "global_step": 20}\n'
    )
    log = read(tmp_path, text, "log.jsonl")
    assert points(log["run-1"].curves["loss"]) == [(10, 2.5), (20, 1.5)]
    assert points(log["run-1"].curves["val"], "log_call", "value") == [(1, 2.25), (2, 1.25)]
    assert any("val: has points without step, and stands in the order of log call" in note for note in log.notes)
