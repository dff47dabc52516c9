"""The optimizer of torch.optim that a family names, as the table of families has it: the reference of every trained one."""

from contextlib import contextmanager

import torch

from sqrtscale.rules import FAMILIES
from sqrtscale.training.optimizers import TRAINED, optimizer_class

DIVIDES = [name for name in TRAINED if optimizer_class(name).second_moment]  # the gradient by a root of its square


def torch_optimizer(config, weights):
    """The same configuration in torch.optim, one parameter after another."""
    about = FAMILIES[config.optimizer]
    values = {about.arguments.get(name, name): value for name, value in config.hyperparameters.items()} | about.options
    if "beta1" in values:
        values["betas"] = (values.pop("beta1"), values.pop("beta2"))
    return getattr(torch.optim, about.call.removeprefix("torch.optim."))(weights, foreach=False, **values)


@contextmanager
def counting_in(dtype):
    """torch.optim counts steps and momenta in the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
