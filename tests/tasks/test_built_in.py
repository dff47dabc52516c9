"""What the built-in tasks say of themselves."""

import math
import subprocess
import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
import torch
from pretended_gpu import pretended
from torch.utils._python_dispatch import TorchDispatchMode

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, digits, task
from sqrtscale.tasks.transformer import Transformer, lookup
from sqrtscale.training.measuring import measure
from sqrtscale.training.population import Population

CPU = torch.device("cpu")


CLASSIFIERS = sorted(name for name, about in TASKS.items() if isinstance(about.network(), Transformer))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_untrained_model_guesses_and_ten_times_its_loss_is_hopeless(name):
    about = task(name)
    values = measure(Population(about, [TrainingConfig("adam", 4)], [0], CPU), about.data(CPU))
    guessing = math.log(about.network().classes)
    assert values["val_loss"].item() == pytest.approx(guessing, rel=0.05)
    assert about.hopeless == pytest.approx(10 * guessing)


def test_no_validation_image_is_trained():
    from sklearn.datasets import load_digits

    data = task("digits").data(CPU)
    assert len(data.images) == task("digits").train_size
    assert len(data.images) + data.validation.count() == len(load_digits().target) == 1797


@pytest.mark.parametrize("there", [True, False])
def test_the_digits_are_scikit_learns_whether_its_file_is_where_it_was_or_not(there, tmp_path, monkeypatch):
    from sklearn.datasets import load_digits

    if not there:  # as in a version that keeps it elsewhere
        monkeypatch.setattr(digits, "find_spec", lambda name: ModuleSpec(name, None, origin=str(tmp_path / "__init__.py")))
    for found, expected in zip(digits._written(), load_digits(return_X_y=True), strict=True):
        assert found.dtype == expected.dtype and np.array_equal(found, expected)


def test_the_digits_are_read_without_the_library():
    """It would take as long to load as torch."""
    code = ("import sys, torch; from sqrtscale.tasks import task; task('digits').data(torch.device('cpu'));"
            "print({'sklearn', 'scipy', 'pandas'} & set(sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_little_of_the_validation_text_is_trained():
    about = task("pydoc")
    data = about.data(CPU)
    train = data.text.numpy().astype("uint8").tobytes()
    common = sum(bytes(window.tolist()) in train for window in data.validation.targets)
    assert common < 0.2 * data.validation.count()  # topics share rules of asterisks and stock sentences
    windows = len(data.text) // data.validation.inputs.shape[1]
    assert 0.8 * windows < about.train_size <= windows


def test_samples_in_the_plural():
    assert task("digits").samples == "images" and task("pydoc").samples == "windows of 32 bytes"


@pytest.mark.parametrize("rows, device", [(5, "cpu"), (700, "cpu"), (700, "cuda:0")])
def test_gradients_of_a_table_are_autograds_and_take_no_more_memory_than_the_table(rows, device):
    """Also the second ones, which curvature takes; in the backward pass of a large table nothing is as large as tokens x rows."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(min(rows, 9), (2, 50), generator=generator) * (rows // 9 or 1)  # each of them several times
    start, factor = torch.randn(2, rows, 3, generator=generator), torch.randn(2, 50, 3, generator=generator)

    def derivatives(read, table, tokens, factor):
        table.requires_grad_()
        (first,) = torch.autograd.grad((read(table, tokens) ** 3 * factor).sum(), table, create_graph=True)
        return first, *torch.autograd.grad(first.square().sum(), table)

    def read(table, tokens):
        return torch.stack([table[i][tokens[i]] for i in range(2)])

    expected = derivatives(read, start.clone(), tokens, factor)
    with pretended():
        with Largest() as sizes:
            computed = derivatives(lookup, *(x.to(device) for x in (start.clone(), tokens, factor)))
        for one, other in zip(computed, expected, strict=True):
            torch.testing.assert_close(one.detach().cpu(), other.detach(), rtol=1e-5, atol=1e-5)
    assert sizes.largest <= 2 * rows * 3 or rows == 5


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor holds that an operation gives."""

    largest = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **kwargs or {})
        self.largest = max(self.largest, *(x.numel() for x in (result if isinstance(result, tuple) else (result,))
                                           if isinstance(x, torch.Tensor)), 0)
        return result
