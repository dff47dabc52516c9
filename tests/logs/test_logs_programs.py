"""Files that the real programs write are read back to the exact numbers."""

import json
import math

import numpy as np
import pytest
from waiting import until

from sqrtscale import logs


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    """No program writes outside the test's folder, or tells its makers of it."""
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "TRACKIO_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


LOSS = np.random.default_rng(0).lognormal(size=40).tolist()


def points(curve, *columns):
    return list(curve.points[list(columns or ("step", "value"))].itertuples(index=False, name=None))


def test_tensorboard_every_scalar_is_there_as_its_own_reader_gives_them(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    values = np.random.default_rng(1).normal(size=11_000)  # its own reader keeps 10,000 unless it is told not to
    with SummaryWriter(tmp_path / "run-a") as writer:
        for step, value in enumerate(values):
            writer.add_scalar("train/loss", value, step * 37)
        for step, value in enumerate(values[:50]):
            writer.add_scalar("a", value, step, new_style=True)
            writer.add_scalar("double", value, step * 10**6, new_style=True, double_precision=True, walltime=step + 0.25)
            writer.add_histogram("weights", values, step)
            writer.add_text("words", "scalar?", step)
        writer.add_scalar("a", math.nan, 60)
        writer.add_scalar("backwards", 1.0, -5)
    read = logs.read(tmp_path)
    (run,) = read.runs
    assert run.name == "run-a" and run.origins[0].reader == "tensorboard"
    accumulator = EventAccumulator(str(tmp_path / "run-a"), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    scalars = {
        tag: [(event.wall_time, event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }
    for tag in {"a", "double"} & set(accumulator.Tags()["tensors"]):
        scalars[tag] = [
            (
                event.wall_time,
                event.step,
                float(event.tensor_proto.float_val[0] if event.tensor_proto.float_val else event.tensor_proto.double_val[0]),
            )
            for event in accumulator.Tensors(tag)
        ] + scalars.get(tag, [])
    assert set(run.curves) == set(scalars) == {"train/loss", "a", "double", "backwards"}
    for tag, expected in scalars.items():
        np.testing.assert_array_equal(points(run.curves[tag], "wall_time", "step", "value"), expected, err_msg=tag)
    assert run.curves["a"].not_a_number == 1 and "run-a, a: is NaN at 1 of 51 points." in read.notes


def test_tensorboard_a_run_that_goes_on_in_a_second_file_is_one_run_with_a_mark(tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for suffix, first, offset in ((".1", 0, 0), (".2", 60, 1000)):
        with SummaryWriter(tmp_path / "run", filename_suffix=suffix) as writer:
            for step in range(first, first + 100):
                writer.add_scalar("loss", step + offset, step)
    run = logs.read(tmp_path)["run"]
    curve = run.curves["loss"]
    assert len(run.origins) == 2 and curve.resumed_at == (60,) and curve.replaced == 40
    assert points(curve) == [(step, step + 1000 * (step >= 60)) for step in range(160)]


@pytest.mark.training
def test_transformers_a_folder_with_checkpoints_is_one_run(tmp_path):
    import torch
    from transformers import Trainer, TrainingArguments

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, x, labels):
            return {"loss": ((self.line(x) - labels) ** 2).mean()}

    data = [{"x": torch.tensor([float(number)]), "labels": torch.tensor([1.0])} for number in range(16)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "base-1"),
        max_steps=20,
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=10,
        save_steps=10,
        per_device_train_batch_size=4,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        learning_rate=1e-3,
    )
    trainer = Trainer(Line(), arguments, train_dataset=data, eval_dataset=data)
    trainer.train()
    run = logs.read(tmp_path / "base-1")["base-1"]
    history = json.loads((tmp_path / "base-1" / "checkpoint-20" / "trainer_state.json").read_text())["log_history"]
    for metric in ("loss", "eval_loss", "grad_norm"):
        curve = run.curves[metric]
        assert points(curve, "step", "epoch", "value") == [
            (row["step"], row["epoch"], row[metric]) for row in history if metric in row
        ]
        assert curve.resumed_at == () and curve.replaced == 0
    assert len(run.origins) == 2 and [len(run.curves[name].points) for name in ("loss", "eval_loss")] == [4, 2]
    assert run.curves["loss"].window == 5 and run.curves["eval_loss"].window is None
    assert run.parameters["per_device_train_batch_size"] == "4"


def test_lightning_csv_logger(tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path, name="base")
    for step, loss in enumerate(LOSS):
        logger.log_metrics({"train_loss": loss, "epoch": step // 10}, step)
        if step % 10 == 9:
            logger.log_metrics({"val_loss": loss + 1 if step < 39 else math.nan, "epoch": step // 10}, step)
    logger.save()
    run = logs.read(tmp_path)["base/version_0"]
    assert points(run.curves["train_loss"], "step", "epoch", "value") == [(s + 1, s // 10, loss) for s, loss in enumerate(LOSS)]
    assert points(run.curves["val_loss"])[:3] == [(s + 1, LOSS[s] + 1) for s in (9, 19, 29)]
    assert run.curves["val_loss"].not_a_number == 1 and len(run.curves["val_loss"].points) == 4


def test_lightnings_steps_are_those_that_were_made(tmp_path):
    """What a real training logs after 4, 8 and 12 steps of two micro-batches each; a column that is named stays as it is."""
    import lightning.pytorch as pl
    import torch
    from lightning.pytorch.loggers import CSVLogger

    class Counting(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch, _):
            self.log("train_made", float(self.global_step))  # before its own step
            return (self.weight * batch[0]).sum()

        def validation_step(self, batch, _):
            self.log("val_made", float(self.global_step))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(24, 1)), batch_size=1)
    trainer = pl.Trainer(
        max_steps=12, max_epochs=-1, accumulate_grad_batches=2, log_every_n_steps=4, val_check_interval=8, accelerator="cpu",
        devices=1, num_sanity_val_steps=0, logger=CSVLogger(tmp_path, name="", version="base"), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Counting(), loader, loader)
    log = logs.read(tmp_path)
    assert points(log["base"].curves["val_made"]) == [(4, 4), (8, 8), (12, 12)]
    assert {step for step, _ in points(log["base"].curves["train_made"])} == {4, 8, 12}
    assert any("from 0" in note for note in log.notes)
    named = logs.read(tmp_path / "base" / "metrics.csv", names={"step": "epoch"})
    assert not any("from 0" in note for note in named.notes)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite:///{}/mlflow.db", "file:{}/mlruns"])
def test_mlflow(tmp_path, monkeypatch, store):
    mlflow = pytest.importorskip("mlflow")
    if store.startswith("sqlite"):
        pytest.importorskip("sqlparse")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.format(tmp_path))
    ids = {}
    for name in ("base-1", "base-2", "twin", "twin"):
        with mlflow.start_run(run_name=name) as run:
            ids[run.info.run_id] = name
            mlflow.log_params({"batch_size": 256, "seed": 7})
            for step, loss in enumerate(LOSS[:10]):
                mlflow.log_metric("train/loss", loss, step=step * 10)
            mlflow.log_metrics({"bad": math.nan, "far": math.inf}, step=3)
    client = mlflow.MlflowClient()
    read = logs.read(tmp_path / store.rpartition("/")[2])
    assert {run.name for run in read.runs} == {
        "base-1",
        "base-2",
        *(f"twin ({id[:8]})" for id, name in ids.items() if name == "twin"),
    }
    for id, name in ids.items():
        run = read[name if name != "twin" else f"twin ({id[:8]})"]
        expected = [
            (metric.step, metric.timestamp / 1000, metric.value) for metric in client.get_metric_history(id, "train/loss")
        ]
        assert points(run.curves["train/loss"], "step", "wall_time", "value") == expected and len(expected) == 10
        assert run.parameters == {"batch_size": "256", "seed": "7"}
        assert run.curves["bad"].not_a_number == 1 and points(run.curves["far"]) == [(3, math.inf)]


@pytest.mark.process  # wandb logs through one of its own
@pytest.mark.parametrize("counter", [None, "trainer/global_step"])
def test_wandb_offline(tmp_path, counter):
    wandb = pytest.importorskip("wandb")
    run = wandb.init(
        project="p",
        name="base-1",
        dir=str(tmp_path),
        config={"batch_size": 256},
        mode="offline",
        settings=wandb.Settings(silent=True),
    )
    for number, loss in enumerate(LOSS):
        run.log({"train/loss": loss, "nested": {"a": loss + 1}, **({counter: number * 50} if counter else {})})
    run.log({"train/loss": math.nan, "long": "x" * 100_000, **({counter: 9999} if counter else {})})
    run.finish()
    # A busy machine may see the last row a little later: wandb writes it in a process of its own.
    read = until(lambda: (now := logs.read(tmp_path)).runs[0].curves["train/loss"].not_a_number and now, what="the last row")
    (run,) = read.runs
    steps = [number * 50 if counter else number for number in range(len(LOSS))]
    assert run.name == "base-1" and run.parameters["batch_size"] == "256"
    assert points(run.curves["train/loss"])[:-1] == list(zip(steps, LOSS, strict=True))
    assert points(run.curves["nested.a"]) == [(step, loss + 1) for step, loss in zip(steps, LOSS, strict=True)]
    assert run.curves["train/loss"].not_a_number == 1
    assert any("confirm what it counts" in note for note in read.notes) == (counter is None)


def test_trackio(tmp_path):
    trackio = pytest.importorskip("trackio")
    trackio.init(project="p", name="base-1", config={"batch_size": 256})
    for number, loss in enumerate(LOSS):
        trackio.log({"loss": loss, "bad": math.nan, "words": "x"}, step=number * 5)
    trackio.finish()
    (database,) = tmp_path.rglob("p.db")
    run = logs.read(database)["base-1"]
    assert points(run.curves["loss"]) == [(number * 5, loss) for number, loss in enumerate(LOSS)]
    assert run.curves["bad"].not_a_number == len(LOSS) and "words" not in run.curves
    assert run.parameters["batch_size"] == "256"

    from pathlib import Path

    from trackio.sqlite_storage import SQLiteStorage

    SQLiteStorage.export_for_static_space("p", tmp_path / "export", Path(database))
    exported = logs.read(tmp_path / "export" / "metrics.parquet")["base-1"]
    assert points(exported.curves["loss"]) == points(run.curves["loss"])


def test_aim_as_its_dataframe_was_saved():
    from log_samples import DATA

    (run,) = logs.read(DATA / "aim.csv").runs  # made by aim 3.29.1: losses of 1 / (i + 1) and 2 / (i + 1) at step 10 i
    assert points(run.curves["loss (subset=train)"], "step", "epoch", "value") == [
        (10 * i, i // 5, 1 / (i + 1)) for i in range(10)
    ]
    assert points(run.curves["loss (subset=val)"]) == [(10 * i, 2 / (i + 1)) for i in range(10)]
    assert run.parameters["batch_size"] == "256"


def test_noise_meter_writes_what_is_read(tmp_path):
    meter = pytest.importorskip("sqrtscale.meter")
    measured = meter._measurements.Measurements(4, path=tmp_path / "base-1.noise.jsonl", clip_norm=1.0)
    for step in range(5):
        measured.passed(64)
        measured.record((4, 2.0 + step), (64, 0.5), preconditioned=(3.0, 1.0), second_moment=0.125)
    (run,) = logs.read(tmp_path).runs
    assert run.name == "base-1" and not run.curves
    for name in ("signal", "noise", "signal_pre", "noise_pre", "second_moment", "clipped"):
        assert points(run.measurements[name], "samples", "value") == [
            (row["samples"], row[name]) for row in measured.measurements
        ]
