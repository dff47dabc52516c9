"""Snippets run against the real libraries: what the optimizer that results is set to, under our names."""

from __future__ import annotations

import argparse
import json
import shlex

from libraries import library, part_of

from sqrtscale.rules import FAMILIES

# What train.py of huggingface/pytorch-image-models declares (its lines 142 to 420), as far as we write it.
TIMM = {"--opt": str, "--lr": float, "--opt-eps": float, "--weight-decay": float, "--momentum": float, "--batch-size": int,
        "--grad-accum-steps": int, "--clip-grad": float, "--min-lr": float, "--sched": str, "--drop": float,
        "--smoothing": float, "--model-ema-decay": float}


def namespace(text: str, **names) -> dict:
    """What the code of a snippet leaves behind."""
    torch = library("torch")
    names.setdefault("model", torch.nn.Sequential(torch.nn.Linear(2, 2)))
    if "timm.optim" in text:
        part_of("timm", "optim", models="group_parameters")
    if "composer.optim" in text:
        made = part_of("composer", "optim.decoupled_weight_decay", utils="dist")
        library("composer.optim").DecoupledAdamW = made.DecoupledAdamW
    exec(text, names)
    return names


def of_group(group: dict, fields) -> dict:
    """A group of a torch.optim optimizer under our names."""
    betas = dict(zip(("beta1", "beta2"), group.get("betas", ()), strict=False))
    return {name: betas.get(name, group.get(name)) for name in fields}


def in_torch(optimizer, fields):
    """The class and the first group."""
    group = optimizer.param_groups[0]
    options = {name: group[name] for name in ("amsgrad", "centered") if group.get(name)}
    return type(optimizer).__name__, of_group(group, fields), options


def from_pytorch(text, fields):
    return in_torch(namespace(text)["optimizer"], fields)


def trainer_of(text, **names):
    """The Trainer that the snippet's last comment describes."""
    transformers = library("transformers")
    found = namespace(text, **names)
    return transformers.Trainer(found["model"], found["arguments"], optimizers=(found.get("optimizer"), None),
                                train_dataset=names.get("data"))


def from_huggingface(text, fields):
    return in_torch(trainer_of(text).create_optimizer(), fields)


def lightning_module(text, **names):
    """The module of the snippet with a layer in it, and everything else the snippet made; its trainer on a CPU and silent."""
    text = text.replace(
        "pl.Trainer(", 'pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, '
        "enable_model_summary=False,")
    found, torch = namespace(text, **names), library("torch")

    class Net(found["Model"]):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, number):
            return self.layer(batch[0]).square().mean()

    return Net(), found


def from_lightning(text, fields):
    return in_torch(lightning_module(text)[0].configure_optimizers(), fields)


def from_deepspeed(text, fields):
    """What _configure_basic_optimizer of deepspeed/runtime/engine.py makes of the JSON, its fused Adam taken as torch's."""
    torch, optimizer = library("torch"), json.loads(text)["optimizer"]
    kind, params = optimizer["type"], dict(optimizer["params"])
    if kind in ("Adam", "AdamW"):
        with_torch, decoupled = params.pop("torch_adam", False), params.pop("adam_w_mode", True)
        kind = "AdamW" if kind == "AdamW" or decoupled else "Adam"
        assert with_torch or "amsgrad" not in params, "FusedAdam refuses amsgrad"
    return in_torch(getattr(torch.optim, kind)(torch.nn.Linear(2, 2).parameters(), **params), fields)


def timm_arguments(text):
    """The command line as train.py parses it."""
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    assert words[:2] == ["python", "train.py"]
    parser = argparse.ArgumentParser()
    for name, kind in TIMM.items():
        parser.add_argument(name, type=kind, default=0.9 if name == "--momentum" else None)
    parser.add_argument("--opt-betas", type=float, nargs="+", default=None)
    parser.add_argument("--opt-kwargs", nargs="*", default={}, action=part_of("timm", "utils.misc").ParseKwargs)
    parser.add_argument("--model-ema", action="store_true")
    return parser.parse_args(words[2:])


def from_timm(text, fields):
    args = timm_arguments(text)
    timm, torch = part_of("timm", "optim", models="group_parameters"), library("torch")
    parameters = torch.nn.Linear(2, 2).parameters()
    optimizer = timm.create_optimizer_v2(parameters, **timm.optimizer_kwargs(cfg=args), **args.opt_kwargs)
    assert not optimizer.param_groups[0].get("nesterov")
    return in_torch(optimizer, fields)


def from_keras(text, fields):
    optimizer = namespace(text)["optimizer"]
    config = optimizer.get_config()
    own = next(kin for kin in FAMILIES.values() if kin.library == "keras" and set(kin.fields) == set(fields))
    options = {"centered": True} if config.get("centered") else {}
    return type(optimizer).__name__, {name: config[own.argument_names[name]] for name in fields}, options
