"""What the built-in tasks say of themselves."""

import math

import pytest
import torch

from sqrtscale.rules import TrainingConfig
from sqrtscale.tasks import TASKS, task
from sqrtscale.tasks.transformer import Transformer
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
