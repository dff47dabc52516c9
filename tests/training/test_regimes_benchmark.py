"""benchmarks/regimes.py on one tiny case: what it trains, what it keeps, what it prints."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from sqrtscale.tasks import task
from sqrtscale.training.population import Population
from sqrtscale.training.regime import gradient_noise
from sqrtscale.training.streams import Stream

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "regimes.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("regimes_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_case_is_trained_once_and_its_table_has_the_differences_of_its_curves(script, tmp_path, capsys):
    tiny = [str(tmp_path), "--only", "digits scratch adamw 256 to 1024", "--seeds", "2", "--samples", "4096"]
    script.main([*tiny, "--arms", "linear lr"])
    script.main(tiny)
    capsys.readouterr()
    (file,) = tmp_path.iterdir()
    curves, written = pd.read_csv(file), file.stat().st_mtime_ns
    assert set(curves["arm"]) == {"base", *script.WITH_KEPT}
    script.main(tiny)
    assert file.stat().st_mtime_ns == written  # nothing is trained twice
    loss = curves[(curves["metric"] == "val_loss") & (curves["samples"] > 0)].groupby(["arm", "seed"])["value"].mean()
    difference = loss["linear lr"] - loss["base"]
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| linear lr ")]
    assert f"| {difference.mean():+.3f} +- {difference.std(ddof=1):.3f} |" in row


def test_the_layers_noise_adds_up_to_the_noise_of_the_whole(script):
    about, device = task("digits"), torch.device("cpu")
    population = Population(about, [about.defaults.base] * 2, [0, 1], device)
    streams = [Stream(about.data(device), seed, "regime") for seed in (0, 1)]
    batches = [script.together(streams, 16) for _ in range(8)]
    signal, noise = script.signal_and_noise(population, batches)
    whole = gradient_noise(population, [population.gradients(batch)[1] for batch in batches], 16)
    assert float(signal.sum()) == pytest.approx(float(whole["signal"].sum()), rel=1e-5)
    assert float(noise.sum()) == pytest.approx(float(whole["noise"].sum()), rel=1e-5)
