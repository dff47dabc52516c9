"""The files in examples/ are tasks: read without running, and their loss is a mean that a step lowers."""

import runpy
from pathlib import Path

import pytest
import torch

from sqrtscale.tasks.own import read_text

FILES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The file as a script of its user's; the frozen weights that one of them reads are random here."""
    def names(path):
        monkeypatch.syspath_prepend(str(path.parent))
        torch.manual_seed(0)
        run_names = runpy.run_path(str(path))
        if "ADAPTED" in run_names:
            weights = tmp_path / "weights.pt"
            torch.save(run_names["Reader"]().state_dict(), weights)
            monkeypatch.setitem(run_names["model"].__globals__, "WEIGHTS", weights)
        return run_names
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_trains(path, run):
    assert read_text(path.read_text(), path.name).description.endswith(".")
    names = run(path)
    held_out, trained = names["data"]("validation"), names["data"]("train")
    assert len(FILES) == 4 and type(held_out) is type(trained)
    pick = (lambda of, places: {name: x[places] for name, x in of.items()}) if isinstance(trained, dict) else \
        (lambda of, places: tuple(x[places] for x in of))
    model, places = names["model"](), torch.arange(64)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trainable, 1e-2)
    losses = []
    for _ in range(4):
        losses.append(names["loss"](model.train(), pick(trained, places)))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] and torch.isfinite(names["loss"](model.eval(), pick(held_out, places)))
