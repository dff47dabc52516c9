"""What the functions of a user's file have returned: columns or samples, and what counts as a number."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from sqrtscale.rules import FieldError
from sqrtscale.tasks.own.returned import count_of, metrics_of


@pytest.mark.parametrize("samples", [
    [torch.zeros(1024)] * 4,
    [np.zeros((64, 64, 64), np.float32)] * 5,
    [(torch.zeros(9), 1)] * 3,
    [torch.zeros(9, 2), torch.zeros(30, 2)],
], ids=["sequences", "volumes", "pairs", "lengths of their own"])
def test_a_few_large_samples_are_samples(samples):
    assert count_of(samples, "validation") == len(samples)


@pytest.mark.parametrize("columns", [
    [torch.zeros(20, 2), torch.zeros(20)],
    [np.zeros(20), np.zeros(20, int)],
    (np.zeros(20), np.zeros(20)),
], ids=["of other shapes", "of other types", "a tuple"])
def test_columns_that_are_no_tensors_in_a_tuple_are_refused(columns):
    with pytest.raises(FieldError, match="of 2 arrays: return a tuple of tensors"):
        count_of(columns, "train")


def test_a_long_list_is_counted_without_looking_at_its_samples():
    class Samples(list):
        def __iter__(self):
            raise AssertionError

    assert count_of(Samples([0] * 1000), "train") == 1000


@pytest.mark.parametrize("number", [Fraction(1, 2), np.longdouble(0.5), np.array([0.5]), torch.tensor([[0.5]]), 0.5])
def test_a_metric_is_any_kind_of_number(number):
    assert metrics_of({"share": number}) == {"share": torch.tensor(0.5)}


@pytest.mark.parametrize("value", [None, np.array(None), np.array(["a"]), "0.5", 1j, [0.5], torch.zeros(2)])
def test_a_metric_that_is_no_number_is_refused(value):
    with pytest.raises(FieldError, match="is no number: return one, the mean over the batch"):
        metrics_of({"share": value})
