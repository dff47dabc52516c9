"""Small torch.optim optimizers that have made a few steps, of every kind that can be moved to another batch."""

import torch

CASES = {  # name: (class, its arguments, our family)
    "adam": ("Adam", {"lr": 3e-4, "betas": (0.95, 0.99), "eps": 1e-7, "weight_decay": 0.1}, "adam"),
    "adam, decoupled": (
        "Adam",
        {"lr": 3e-4, "betas": (0.95, 0.99), "weight_decay": 0.1, "decoupled_weight_decay": True},
        "adamw",
    ),
    "amsgrad": ("Adam", {"lr": 3e-4, "betas": (0.95, 0.99), "amsgrad": True}, "adam"),
    "adamw": ("AdamW", {"lr": 3e-4, "betas": (0.9, 0.999), "weight_decay": 0.1}, "adamw"),
    "adamw, amsgrad": ("AdamW", {"lr": 3e-4, "betas": (0.9, 0.999), "weight_decay": 0.1, "amsgrad": True}, "adamw"),
    "nadam": ("NAdam", {"lr": 3e-4, "weight_decay": 0.1}, "nadam"),
    "radam": ("RAdam", {"lr": 3e-4, "weight_decay": 0.1}, "radam"),
    "rmsprop": ("RMSprop", {"lr": 3e-4, "alpha": 0.98, "weight_decay": 0.1}, "rmsprop"),
    "rmsprop, momentum": ("RMSprop", {"lr": 3e-4, "momentum": 0.9}, "rmsprop"),
    "rmsprop, centered": ("RMSprop", {"lr": 3e-4, "alpha": 0.9, "centered": True, "momentum": 0.9}, "rmsprop"),
    "sgd": ("SGD", {"lr": 3e-4, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}, "sgd"),
}


def trained(case, steps=20, dtype=torch.float64, **more):
    """Two parameters and their optimizer after a few steps of noise."""
    name, values, _ = CASES[case]
    generator = torch.Generator().manual_seed(1)
    parameters = [torch.nn.Parameter(torch.randn(size, generator=generator, dtype=dtype)) for size in ((3, 2), (4,))]
    optimizer = getattr(torch.optim, name)(parameters, **{**values, **more})
    advance(optimizer, steps, generator)
    return parameters, optimizer


def advance(optimizer, steps, generator=None):
    generator = generator or torch.Generator().manual_seed(2)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) + 0.1
        optimizer.step()


def flat(optimizer):
    """Every number of an optimizer, by place."""
    values = {}
    for i, group in enumerate(optimizer.state_dict()["param_groups"]):
        values |= {(i, key): value for key, value in group.items() if key != "params"}
    for key, entry in optimizer.state_dict()["state"].items():
        values |= {(key, name): value for name, value in entry.items()}
    return values


def assert_same(expected, actual, **tolerance):
    assert expected.keys() == actual.keys()
    for place, value in expected.items():
        if isinstance(value, (torch.Tensor, float, tuple)):
            torch.testing.assert_close(
                actual[place], value, msg=lambda text, place=place: f"{place}: {text}", **(tolerance or {"rtol": 0, "atol": 0})
            )
        else:
            assert actual[place] == value and type(actual[place]) is type(value), place
