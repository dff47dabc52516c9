"""Parameter groups of a task of the user's own, held to torch.optim with the same groups."""

import re
from dataclasses import replace

import pytest
import torch
from plain_own import CPU, FILES, Plain, own
from torch import nn

from sqrtscale.plan import make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.tasks import OwnFile, OwnTask, remember
from sqrtscale.tasks.own import Facts, Group, KnownConfiguration
from sqrtscale.tasks.own.grouping import read_groups
from sqrtscale.training import Measured, calibrate, saved
from sqrtscale.training.check import Check
from sqrtscale.training.memory import state_bytes
from sqrtscale.training.population import Population

BATCH, TARGET, SAMPLES = 8, 32, 128
GROUPS = '''

def GROUPS(model):
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0, "lr_factor": 0.5, "name": "vectors"}]
'''
CLASSES = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}
CONFIGS = {"adamw": {"lr": 1e-2, "beta2": 0.99, "weight_decay": 0.3}, "sgd": {"lr": 1e-2, "momentum": 0.9, "weight_decay": 0.1},
           "rmsprop": {"lr": 1e-3, "weight_decay": 0.1, "eps": 1e-4}}


@pytest.fixture(scope="module")
def about():
    """The table's task with groups, as if it had been checked."""
    table = own(next(path for path in FILES if path.stem == "table"), train_size=350, validation_size=92).file
    file = replace(table, text=table.text + GROUPS)
    groups = OwnTask(file).running.groups()
    assert [(group.name, group.values, group.parameters) for group in groups] == [
        ("group 0", (), ("0.weight", "2.weight")),
        ("vectors", (("weight_decay", 0.0), ("lr_factor", 0.5)), ("0.bias", "2.bias"))]
    return remember(replace(file, facts=replace(file.facts, groups=tuple(group for group in groups if group.values))), renew=True)


def in_groups(loop, config):
    """torch's own optimizer with two groups, at that configuration's values."""
    options = dict(config.hyperparameters)
    if "beta1" in options:
        options["betas"] = options.pop("beta1"), options.pop("beta2")
    (vectors,) = config.groups
    matrices = [p for p in loop.trained if p.dim() > 1]
    return CLASSES[config.optimizer]([{"params": matrices},
                                      {"params": [p for p in loop.trained if p.dim() < 2], **vectors.values}], **options)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_group_trains_by_its_own_values_scaled_by_the_rule(about, name):
    base = TrainingConfig(name, BATCH, CONFIGS[name])
    plan = make_plan(about.name, base, TARGET, arms=["base", "unscaled"], seeds=2, samples=SAMPLES, start="scratch", device="cpu",
                     evaluations=1)
    (vectors,) = plan.base.groups
    assert vectors.values == {"weight_decay": 0.0, "lr": base["lr"] / 2}
    (moved,) = plan.config_of("scaled").groups
    assert moved.values["lr"] == pytest.approx(plan.config_of("scaled")["lr"] / 2) and moved.values["weight_decay"] == 0
    assert plan.from_dict(plan.as_dict()) == plan
    ends = {(event.arm, event.seed): event.values["val_loss"] for event in calibrate(plan) if isinstance(event, Measured)
            and event.samples == SAMPLES}
    for arm in ("base", "scaled", "unscaled"):
        config = plan.config_of(arm)
        loop = Plain(about, 1, TrainingConfig("adam", BATCH, {"lr": 1e-3}))
        loop.optimizer = in_groups(loop, config)
        loop.train(1, SAMPLES // config.batch_size, config.batch_size)
        assert ends[arm, 1] == pytest.approx(loop.validation_loss(), rel=1e-5)
    assert "without lr" in [arm.name for arm in make_plan(about.name, base, TARGET, arms=["without lr"], samples=SAMPLES).arms]
    without = make_plan(about.name, base, TARGET, arms=["without lr"], samples=SAMPLES).config_of("without lr")
    assert (without["lr"], without.groups[0].values["lr"]) == (base["lr"], base["lr"] / 2)


def test_a_checkpoint_with_two_groups_and_no_names_is_gone_on_from(about, tmp_path):
    """As most programs save it: matrices with weight decay first, then vectors without."""
    plain_file = replace(about.file, text=about.file.text.removesuffix(GROUPS), facts=replace(about.file.facts, groups=()))
    task = OwnTask(plain_file)
    config = about.grouped(TrainingConfig("adamw", BATCH, CONFIGS["adamw"]))
    loop = Plain(task, 5, TrainingConfig("adam", BATCH, {"lr": 1e-3}))
    loop.optimizer = in_groups(loop, config)
    loop.train(5, 30, BATCH)
    path = tmp_path / "last.pt"
    torch.save({"model": loop.model.state_dict(), "optimizer": loop.optimizer.state_dict()}, path)
    seen = saved.look(path, task, None)
    assert seen.groups == (Group("group 1", (("weight_decay", 0.0), ("lr_factor", 0.5)), ("0.bias", "2.bias")),)
    facts = replace(plain_file.facts, checkpoint=seen.checkpoint, configuration=seen.configuration, groups=seen.groups)
    branched = remember(replace(plain_file, facts=facts), renew=True)
    plan = make_plan(branched.name, seen.configuration.at(BATCH), TARGET, arms=["base"], seeds=1, samples=SAMPLES,
                     start="checkpoint", device="cpu", evaluations=1)
    parent = saved.branch_point(plan, branched, CPU)
    population = Population(branched, [plan.base], [0], CPU)
    population.branch_from(parent, 1.0)
    ends = {event.arm: event.values["val_loss"] for event in calibrate(plan) if isinstance(event, Measured)
            and event.samples == SAMPLES}
    state = loop.optimizer.state
    wanted = torch.cat([state[parameter]["exp_avg_sq"].flatten() for parameter in loop.trained])
    assert torch.equal(population.optimizer.state["exp_avg_sq"][0], wanted)
    loop.train(0, SAMPLES // BATCH, BATCH)
    assert ends["base"] == pytest.approx(loop.validation_loss(), rel=1e-5)


HEAD_FIRST = """

def GROUPS(model):
    return [{"params": model[2].parameters()}, {"params": model[0].parameters(), "lr_factor": 0.5, "name": "body"}]
"""


def body_and_head(about, tmp_path, names=(None, None)):
    """A task whose GROUPS part head and body, and a checkpoint of an optimizer that got its parameters so, but no names."""
    text = about.file.text.removesuffix(GROUPS) + HEAD_FIRST
    task = OwnTask(replace(about.file, text=text, facts=replace(about.file.facts, groups=())))
    loop = Plain(task, 5, TrainingConfig("adam", BATCH, {"lr": 1e-3}))
    own_names = [{} if name is None else {"name": name} for name in names]
    loop.optimizer = torch.optim.Adam([{"params": loop.model[2].parameters(), **own_names[0]},
                                       {"params": loop.model[0].parameters(), "lr": 5e-4, **own_names[1]}], lr=1e-3)
    loop.train(5, 2, BATCH)
    torch.save({"model": loop.model.state_dict(), "optimizer": loop.optimizer.state_dict()}, tmp_path / "last.pt")
    return task, loop, tmp_path / "last.pt"


def test_the_training_assigns_the_state_as_the_check_does(about, tmp_path):
    """By the order of GROUPS, where a checkpoint has no names: matrices and vectors are two and two, as head and body are."""
    task, loop, path = body_and_head(about, tmp_path)
    seen = saved.look(path, task, None)
    assert [(group.values, group.parameters) for group in seen.groups] == [((("lr_factor", 0.5),), ("0.weight", "0.bias"))]
    facts = replace(task.file.facts, checkpoint=seen.checkpoint, configuration=seen.configuration, groups=seen.groups)
    branched = remember(replace(task.file, facts=facts), renew=True)
    plan = make_plan(branched.name, seen.configuration.at(BATCH), TARGET, seeds=1, samples=SAMPLES, start="checkpoint")
    wanted = torch.cat([loop.optimizer.state[parameter]["exp_avg"].flatten() for parameter in loop.trained])
    assert torch.equal(saved.branch_point(plan, branched, CPU).optimizer.state["exp_avg"][0], wanted)


def test_groups_of_a_checkpoint_with_one_name_twice_stay_two(about, tmp_path):
    task, _, path = body_and_head(about, tmp_path, names=("decay", "decay"))
    (group,) = saved.look(path, task, None).groups
    assert group == Group("decay (group 1)", (("lr_factor", 0.5),), ("0.weight", "0.bias"))


def test_the_memory_of_groups_is_counted(about):
    config = about.grouped(TrainingConfig("adamw", BATCH, CONFIGS["adamw"]))
    optimizer = Population(about, [config], [0], CPU).optimizer
    each = [table[name] for table in (optimizer.hyper, optimizer.exact) for name in ("lr", "weight_decay")]
    parameters = optimizer.group_of.numel()
    assert all(values.numel() == parameters for values in each) and optimizer.hyper["eps"].numel() == 1
    held = sum(values.nbytes for values in (*each, optimizer.group_of))
    assert state_bytes(parameters, config.groups) - state_bytes(parameters) == held
    assert state_bytes(parameters, ()) == state_bytes(parameters)


def net():
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1).requires_grad_(False))


@pytest.mark.parametrize(("returned", "sentence"), [
    (lambda model: None, "GROUPS = 'NoneType' is no list of parameter groups: return a list"),
    (lambda model: [model.parameters()], "is no list of parameter groups"),
    (lambda model: [{"params": [model[0].weight]}], "GROUPS = '0.bias' is trained and in no group"),
    (lambda model: [{"params": model.parameters()}, {"params": [model[0].bias]}], "GROUPS = '0.bias' is in more than one group"),
    (lambda model: [{"params": net().parameters()}], "GROUPS = 'group 0' holds what is no parameter of the model"),
    (lambda model: [{"params": model.parameters(), "betas": (0.9, 0.99)}], r"group 0.betas = .* cannot differ between groups"),
    (lambda model: [{"params": model.parameters(), "lr": -1}], "group 0.lr = -1 is no learning rate: give a number above 0"),
    (lambda model: [{"params": model.parameters(), "lr_factor": 0}], "group 0.lr_factor = 0 is no learning rate"),
    (lambda model: [{"params": model.parameters(), "eps": -1}], "group 0.eps = -1 is no number: give one of at least 0"),
    (lambda model: [{"params": 3}], "group 0.params = 'int' is no list of parameters"),
    (lambda model: [{"params": model.parameters(), "lr": 1, "lr_factor": 2}], "group 0.lr = 1 stands beside lr_factor"),
    (lambda model: [{"params": [model[0].weight], "name": "a"}, {"params": [model[0].bias], "name": "a"}], "has a name twice"),
])
def test_what_are_no_groups_is_refused_in_a_sentence(returned, sentence):
    model = net()
    with pytest.raises(FieldError, match=sentence):
        read_groups(returned(model), model)


def test_parameters_may_come_with_their_names():
    model = net()
    (group,) = read_groups([{"params": model.named_parameters()}], model)
    assert group.parameters == ("0.weight", "0.bias")


@pytest.mark.parametrize(("returned", "sentence"), [
    ('[{"params": map(len, [3])}]', r"TypeError: object of type 'int' has no len\(\) \(grouping.py, line \d+\)"),
    ('[{"params": model.parameters(), "eps": 1.0}]', "group 0.eps = 1.0 is not a field of SGD"),
])
def test_a_check_says_what_is_wrong_with_groups(about, returned, sentence):
    text = f"{about.file.text.removesuffix(GROUPS)}\n\ndef GROUPS(model):\n    return {returned}\n"
    sgd = KnownConfiguration(TrainingConfig("sgd", BATCH, {"lr": 1e-2}), "config.json", True)
    check = Check(replace(about.file, text=text), "cpu", TARGET, configuration=sgd)
    check.run()
    assert check.findings[-1].level == "bad" and re.match(sentence, check.findings[-1].text)


def test_without_differing_groups_in_the_checkpoint_there_are_none_whatever_the_file_says(about, tmp_path):
    loop = Plain(about, 5, TrainingConfig("adam", BATCH, {"lr": 1e-3}))
    loop.train(5, 30, BATCH)
    torch.save({"model": loop.model.state_dict(), "optimizer": loop.optimizer.state_dict()}, tmp_path / "last.pt")
    check = Check(about.file, "cpu", TARGET, tmp_path / "last.pt")
    check.run()
    assert check.facts.checkpoint and check.facts.groups == () and all(said.level != "bad" for said in check.findings)


def test_a_plan_has_the_groups_of_its_task_and_no_others(about):
    plan = make_plan(about.name, TrainingConfig("adamw", BATCH, CONFIGS["adamw"]), TARGET, samples=SAMPLES)
    with pytest.raises(FieldError, match="cannot be trained here as it is"):
        replace(plan, base=replace(plan.base, groups=()))


def test_facts_keep_their_groups():
    facts = Facts(1, 2, 3, groups=(Group("a", (("lr_factor", 0.5),), ("x", "y")),))
    file = OwnFile("a", "/a.py", "text", facts)
    assert OwnFile.from_dict(file.as_dict()) == file and "groups" not in Facts(1, 2, 3).as_dict()
