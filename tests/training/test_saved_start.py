"""Calibrations that branch from a user's own checkpoint, held to a plain torch loop that loads the same file and goes on."""

import math
from argparse import Namespace
from collections import OrderedDict
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from plain_own import CPU, FILES, Plain, own
from safetensors.torch import save_file
from torch_optim import torch_optimizer

from sqrtscale.plan import make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.tasks import OwnTask, remember
from sqrtscale.training import Measured, calibrate, saved
from sqrtscale.training.chance import Chance
from sqrtscale.training.population import Population
from sqrtscale.training.streams import Stream
from sqrtscale.transfer.optimizer import transfer_state_dict

BATCH, TARGET, STEPS, SAMPLES = 8, 32, 40, 128
FACTS = {"resnet": (400, 96), "lstm": (300, 64), "lora": (300, 64), "table": (350, 92)}
ADAM = TrainingConfig("adam", BATCH, {"lr": 1e-3})
CONFIGS = {  # an optimizer with state of every kind, and the file that it trains
    "adam": ("resnet", ADAM),
    "adamw": ("lora", TrainingConfig("adamw", BATCH, {"lr": 1e-2, "beta2": 0.99, "weight_decay": 0.1})),
    "rmsprop": ("lstm", TrainingConfig("rmsprop", BATCH, {"lr": 1e-3, "momentum": 0.9})),
    "rmsprop_centered": ("table", TrainingConfig("rmsprop_centered", BATCH, {"lr": 1e-3})),
    "sgd": ("table", TrainingConfig("sgd", BATCH, {"lr": 1e-2, "momentum": 0.9})),
    "nadam": ("table", TrainingConfig("nadam", BATCH, {"lr": 1e-3})),
    "amsgrad": ("table", TrainingConfig("amsgrad", BATCH, {"lr": 1e-3})),
}


def task_of(stem):
    train, validation = FACTS[stem]
    return own(next(path for path in FILES if path.stem == stem), train_size=train, validation_size=validation)


def plain(about, config):
    """A model of the file with torch's own optimizer."""
    made = Plain(about, 7, ADAM)
    made.optimizer = torch_optimizer(config, made.trained)
    return made


@pytest.fixture(scope="module")
def trained():
    """Made once: a model of the file that has trained 40 steps by that optimizer."""
    made = {}

    def of(name):
        if name not in made:
            stem, config = CONFIGS[name]
            about = task_of(stem)
            loop = plain(about, config)
            loop.train(7, STEPS, BATCH)
            made[name] = about, config, loop
        return made[name]

    return of


def content(loop):
    """As most programs write it."""
    return {"epoch": 3, "model": loop.model.state_dict(), "optimizer": loop.optimizer.state_dict()}


def planned(about, path, **choices):
    """A plan that branches from that file, as after a check."""
    seen = saved.look(path, about, None)
    file = replace(about.file, facts=replace(about.file.facts, checkpoint=seen.checkpoint, configuration=seen.configuration))
    base = seen.configuration.at(BATCH)
    return make_plan(remember(file, renew=True).name, base, TARGET,
                     **{"arms": ["base"], "seeds": 2, "samples": SAMPLES, "start": "checkpoint", "device": "cpu",
                        "evaluations": 2, **choices})


def going_on(about, config, path, arm=None):
    """A plain loop from that file; arm: with which hyperparameters, after the optimizer was moved to its batch by hand."""
    loop = plain(about, config)
    held = torch.load(path)
    state = held["optimizer"] if arm is None else transfer_state_dict(held["optimizer"], arm.batch_size / config.batch_size)
    loop.model.load_state_dict(held["model"])
    loop.optimizer.load_state_dict(state)
    return loop


@pytest.mark.parametrize("name", CONFIGS)
def test_arms_go_on_as_a_loop_that_loads_the_file_goes_on(name, trained, tmp_path):
    about, config, loop = trained(name)
    path = tmp_path / "last.pt"
    torch.save(content(loop), path)
    plan = planned(about, path)
    age = 0 if name == "sgd" else STEPS * BATCH  # torch's SGD counts no steps
    assert (plan.base, plan.start, plan.warm_samples, plan.age) == (config, "checkpoint", 0, age)
    events = [event for event in calibrate(plan) if isinstance(event, Measured)]
    assert {(event.arm, event.seed) for event in events} == {(arm, seed) for arm in ("base", "scaled") for seed in (0, 1)}
    ends = {(event.arm, event.seed, event.samples): event.values["val_loss"] for event in events}
    loose = 1e-2 if about.source.precision == "bf16" else 1e-3
    base, scaled = going_on(about, config, path), going_on(about, config, path, plan.config_of("scaled"))
    for arm, reference, batch in (("base", base, BATCH), ("scaled", scaled, TARGET)):
        assert ends[arm, 0, 0] == pytest.approx(reference.validation_loss(), rel=loose)
        reference.train(0, SAMPLES // batch, batch)
        assert ends[arm, 0, SAMPLES] == pytest.approx(reference.validation_loss(), rel=loose if batch == BATCH else 5 * loose)
    assert ends["base", 0, SAMPLES] != ends["base", 1, SAMPLES]  # other samples, though the weights were the same


def test_base_goes_on_step_by_step(trained, tmp_path):
    about, config, loop = trained("adam")
    path = tmp_path / "last.pt"
    torch.save(content(loop), path)
    plan = planned(about, path)
    population = Population(about, [config], [0], CPU)
    population.branch_from(saved.branch_point(plan, OwnTask(plan.own), CPU), 1.0)
    reference = going_on(about, config, path)
    stream = Stream(about.data(CPU), 0, "branch")
    for step in range(5):
        batch = stream.take(BATCH)
        reference.step(batch, Chance("branch", (0,), step * BATCH))
        population.step(batch.map(lambda x: x[None]))
        for view, parameter in zip(population.views.values(), reference.trained, strict=True):
            torch.testing.assert_close(view[0], parameter, rtol=1e-5, atol=1e-7)


def test_another_beta2_forgets_as_much_as_the_file_has(trained, tmp_path):
    """k steps of its beta2 are k ln(beta2) / ln(beta2') of another one, so that beta2^k and the bias correction stay."""
    about, config, loop = trained("adamw")
    path = tmp_path / "last.pt"
    torch.save(content(loop), path)
    plan = planned(about, path)
    other = replace(config, hyperparameters={**config.hyperparameters, "beta2": 0.999})
    plan = make_plan(plan.task, other, TARGET, start="checkpoint", samples=SAMPLES)
    steps = float(saved.branch_point(plan, OwnTask(plan.own), CPU).optimizer.steps)
    assert steps == pytest.approx(STEPS * math.log(config["beta2"]) / math.log(0.999), rel=1e-12)


def lightning(loop, folder):
    torch.save({"pytorch-lightning_version": "2.6.0", "global_step": STEPS, "epoch": 1, "loops": {},
                "state_dict": OrderedDict((f"net.{name}", x) for name, x in loop.model.state_dict().items()),
                "optimizer_states": [loop.optimizer.state_dict()], "lr_schedulers": []}, folder / "last.ckpt")
    return folder / "last.ckpt", "Lightning"


def trainer(loop, folder):
    save_file(dict(loop.model.state_dict()), folder / "model.safetensors")
    torch.save(loop.optimizer.state_dict(), folder / "optimizer.pt")
    (folder / "trainer_state.json").write_text('{"global_step": 40}')
    return folder, "Hugging Face folder"


def in_shards(loop, folder):
    tensors = list(loop.model.state_dict().items())
    files = {"model-00001-of-00002.safetensors": dict(tensors[:3]), "model-00002-of-00002.safetensors": dict(tensors[3:])}
    for name, held in files.items():
        save_file(held, folder / name)
    places = {name: file for file, held in files.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {places}}}'.replace("'", '"'))
    torch.save(loop.optimizer.state_dict(), folder / "optimizer.bin")
    return folder, "Hugging Face folder"


def fsdp(loop, folder):
    """By names, as FSDP gathers it, in any order."""
    names = [name for name, _ in loop.model.named_parameters()]
    state = loop.optimizer.state_dict()
    named = {names[key]: entry for key, entry in state["state"].items()}
    groups = [{**state["param_groups"][0], "params": names[::-1]}]
    torch.save({"state": {"app": {"model": {f"_orig_mod.{name}": x for name, x in loop.model.state_dict().items()},
                                  "optim": {"state": named, "param_groups": groups}}}}, folder / "full.pt")
    return folder / "full.pt", "PyTorch"


def with_an_average(loop, folder):
    average = {name: x + 1 for name, x in loop.model.state_dict().items()}
    torch.save({"ema": average, "net": {f"module.{name}": x for name, x in loop.model.state_dict().items()},
                "optim": loop.optimizer.state_dict()}, folder / "a.pt")
    return folder / "a.pt", "PyTorch"


@pytest.mark.parametrize("form", [lightning, trainer, in_shards, fsdp, with_an_average], ids=lambda form: form.__name__)
def test_every_form_of_a_checkpoint_gives_the_same_start(form, trained, tmp_path):
    about, config, loop = trained("adam")
    path, said = form(loop, tmp_path)
    seen = saved.look(path, about, None)
    assert (seen.checkpoint.form, seen.checkpoint.steps) == (said, STEPS) and seen.configuration.at(BATCH) == config
    population = seen.population(about, CPU)
    entries = loop.optimizer.state_dict()["state"].values()
    for piece in ("exp_avg", "exp_avg_sq"):
        assert torch.equal(population.optimizer.state[piece][0], torch.cat([entry[piece].flatten() for entry in entries]))
    assert torch.equal(population.flat[0], torch.cat([p.detach().flatten() for p in loop.trained]))
    for name, buffer in loop.model.named_buffers():
        assert torch.equal(population.buffers[name][0], buffer)
    assert float(population.optimizer.steps) == STEPS


def test_another_hash_is_another_start_and_a_file_that_changed_is_refused(trained, tmp_path):
    about, _, loop = trained("adam")
    path, moved = tmp_path / "last.pt", tmp_path / "moved.pt"
    torch.save(content(loop), path)
    plan = planned(about, path)
    path.rename(moved)
    assert planned(about, moved).identity("base", 0) == plan.identity("base", 0)
    assert plan.from_dict(plan.as_dict()) == plan
    other = content(loop)
    other["model"]["6.bias"] = other["model"]["6.bias"] + 1
    torch.save(other, path)
    assert planned(about, path).identity("base", 0) != plan.identity("base", 0)
    with pytest.raises(FieldError, match="has changed since it was looked at"):
        next(calibrate(replace(plan, seeds=(0,))))
    scratch = make_plan(plan.task, plan.base, TARGET, seeds=1, samples=256, start="scratch", arms=["base"])
    assert "sha256" not in scratch.identity("base", 0) and scratch.identity("base", 0) != plan.identity("base", 0)


def broken(change):
    def write(loop, folder):
        held = deepcopy(content(loop))
        change(held)
        torch.save(held, folder / "last.pt")
        return folder / "last.pt"

    return write


def code(loop, folder):
    torch.save(content(loop) | {"arguments": Namespace(lr=1)}, folder / "whole.pt")
    return folder / "whole.pt"


def deepspeed(loop, folder):
    (folder / "global_step40").mkdir()
    return folder


def weights_alone(loop, folder):
    save_file(dict(loop.model.state_dict()), folder / "model.safetensors")
    return folder


def unlike(held):
    for entry in held["optimizer"]["state"].values():
        entry["exp_avg"] = entry["exp_avg"].flatten()[:1]
        entry["exp_avg_sq"] = entry["exp_avg_sq"].flatten()[:1]


@pytest.mark.parametrize(("write", "sentence"), [
    (broken(lambda held: held["model"].pop("6.bias")), "lacks 1 of the 20 tensors of the model, for example 6.bias"),
    (broken(lambda held: held["model"].update({"6.bias": torch.zeros(3)})), r"holds 6.bias with shape \(3\), and the model"),
    (broken(lambda held: held.pop("model")), "holds no weights of the model, 0.weight and so on"),
    (broken(lambda held: held.pop("optimizer")), "holds no optimizer state: give a file"),
    (broken(lambda held: held["optimizer"]["state"].clear()), "holds an optimizer that has made no step"),
    (broken(lambda held: held["optimizer"]["param_groups"][0]["params"].append(99)), "has an optimizer of 12 parameters, and the "
     "model has 11"),
    (broken(lambda held: held["optimizer"]["param_groups"][0].update(maximize=True)), "has an optimizer that maximizes"),
    (broken(lambda held: held["optimizer"]["param_groups"][0].update(lr=0.0)), "lr = 0.0 is that of the optimizer in"),
    (broken(lambda held: held["optimizer"]["state"].pop(3)), "has no optimizer state of 3.path.0.weight, which the model"),
    (broken(unlike), r"holds exp_avg with shape \(1\) for 0.weight, which has \(4, 1, 3, 3\)"),
    (broken(lambda held: held.update(second=held["optimizer"] | {})), "holds 2 optimizers"),
    (broken(lambda held: held["optimizer"]["state"][0]["exp_avg"].fill_(math.nan)), "holds exp_avg of 0.weight that is not"),
    (broken(lambda held: held["optimizer"]["state"][0]["exp_avg_sq"].neg_()), "exp_avg_sq of 0.weight below 0"),
    (code, "loading it would run code from the file"),
    (deepspeed, "is a shard of DeepSpeed"),
    (weights_alone, "holds no optimizer state: give a folder with optimizer.pt"),
    (lambda loop, folder: folder / "absent.pt", "cannot be read"),
], ids=["missing", "shape", "no weights", "no optimizer", "no step", "count", "maximize", "lr 0", "no state", "order",
        "two", "NaN", "negative", "code", "DeepSpeed", "weights alone", "absent"])
def test_what_cannot_be_gone_on_from_is_refused_in_a_sentence(write, sentence, trained, tmp_path):
    about, _, loop = trained("adam")
    path = write(loop, tmp_path)
    with pytest.raises(FieldError, match=sentence) as raised:
        saved.look(path, about, None).population(about, CPU)
    assert "\n" not in str(raised.value)


def test_an_index_that_names_itself_holds_no_weights(trained, tmp_path):
    about, _, loop = trained("adam")
    path, _ = in_shards(loop, tmp_path)
    (path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.safetensors.index.json"}}')
    with pytest.raises(FieldError, match="holds no weights of the model"):
        saved.look(path, about, None)


def test_an_optimizer_of_another_family_is_no_base(trained, tmp_path):
    about, _, loop = trained("adam")
    path = tmp_path / "last.pt"
    torch.save(content(loop), path)
    plan = planned(about, path)
    with pytest.raises(FieldError, match=r"optimizer = 'rmsprop' cannot go on with the state of adam"):
        make_plan(plan.task, TrainingConfig("rmsprop", BATCH, {"lr": 1e-3}), TARGET, start="checkpoint", samples=256)
    assert make_plan(plan.task, replace(plan.base, optimizer="adamw"), TARGET, start="checkpoint", samples=256).checkpoint
    with pytest.raises(FieldError, match="start = 'checkpoint' needs one"):
        make_plan("digits", TrainingConfig("adam", BATCH, {"lr": 1e-3}), TARGET, start="checkpoint", samples=256)
