"""The traps of each format, one by one."""

import json

import pytest
from libraries import library, part_of
from samples import asked, text_of

from sqrtscale.formats import read
from sqrtscale.rules import FieldError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")


def hf(**changes):
    return json.dumps({"per_device_train_batch_size": 8, "optim": "adamw_torch", "learning_rate": 1e-4, **changes})


def deepspeed(params=None, kind="Adam", **changes):
    return json.dumps({"train_micro_batch_size_per_gpu": 8, "optimizer": {"type": kind, "params": {"lr": 1e-4} | (params or {})}}
                      | changes)


def timm(**changes):
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in {
        "opt": "adamw", "lr": 0.001, "sched": "cosine", "batch_size": 128, "opt_eps": None, "opt_betas": None, **changes}.items())


def axolotl(**changes):
    return "\n".join(f"{key}: {value}" for key, value in {
        "base_model": "x", "datasets": [], "micro_batch_size": 2, "gradient_accumulation_steps": 4, "learning_rate": 1e-4,
        **changes}.items())


def groups(*changes, **common):
    first = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "params": [0]} | common
    return json.dumps([first | change for change in changes or ({},)])


def refused(text):
    with pytest.raises(FieldError) as error:
        read(text)
    return str(error.value)


# Hugging Face

@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_bnb_8bit", "paged_adamw_32bit",
                                   "adamw_apex_fused", "ADAMW_TORCH"])
def test_every_adamw_of_the_trainer_is_adamw(optim):
    assert read(hf(optim=optim)).optimizer == "adamw"


@pytest.mark.parametrize("optim, known", [("adafactor", "factored"), ("lion_32bit", "sign"), ("schedule_free_adamw", "average"),
                                          ("adagrad", "never forgets")])
def test_optimizers_without_a_rule_are_refused_with_what_is_known(optim, known):
    assert "has no derived rule" in refused(hf(optim=optim)) and known in refused(hf(optim=optim))


def test_an_unknown_optimizer_is_named_under_the_files_own_key():
    assert refused(hf(optim="new_pytorch")).startswith("optim = 'new_pytorch' is no optimizer that the rule covers")


def test_rmsprop_of_the_trainer_has_torchs_alpha_whatever_adam_epsilon_says():
    found = read(hf(optim="rmsprop", adam_epsilon=1e-5))
    config = found.config({"devices": 1})
    assert (config.optimizer, config["alpha"], config["eps"]) == ("rmsprop", 0.99, 1e-8)


@pytest.mark.parametrize("changes, run", [
    ({"warmup_steps": 0.1}, {"warmup_fraction": 0.1}), ({"warmup_steps": 500}, {"warmup_steps": 500}),
    ({"warmup_steps": 0, "warmup_ratio": 0.05}, {"warmup_fraction": 0.05}),
    ({"warmup_steps": 500, "warmup_ratio": 0.05}, {"warmup_steps": 500}),
    ({"max_steps": 1000, "num_train_epochs": 3}, {"total_steps": 1000}), ({"max_steps": -1, "num_train_epochs": 3}, {}),
    ({"max_grad_norm": 0}, {"clip_norm": None}), ({}, {"clip_norm": 1.0}), ({"max_grad_norm": 0.5}, {"clip_norm": 0.5}),
    ({"eval_steps": 100, "eval_strategy": "no"}, {}), ({"eval_steps": 100, "eval_strategy": "steps"}, {"eval_interval": 100}),
    ({"logging_steps": 1}, {"log_interval": 1}), ({"save_steps": 0.1}, {}),
    ({"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1e-6}},
     {"schedule": "cosine", "min_lr": 1e-6}),
    ({"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 50}}, {"decay_steps": 50}),
])
def test_the_run_of_training_arguments(changes, run):
    found = read(hf(**changes)).run
    for name in ("warmup_fraction", "warmup_steps", "total_steps", "eval_interval", "log_interval", "checkpoint_interval",
                 "min_lr", "decay_steps"):
        assert found.get(name) == run.get(name), name
    assert found.get("clip_norm") == run.get("clip_norm", 1.0)
    assert found.get("schedule") == run.get("schedule", found.get("schedule"))


def test_numbers_may_stand_as_text():
    assert read(hf(learning_rate="2e-5")).hyperparameters["lr"] == 2e-5
    assert read("per_device_train_batch_size: 8\nlearning_rate: 2e-5\n").hyperparameters["lr"] == 2e-5  # text in YAML 1.1
    assert read(axolotl(learning_rate='"2e-4"')).hyperparameters["lr"] == 2e-4


def test_what_may_change_the_batch_is_said():
    notes = " ".join(read(hf(auto_find_batch_size=True, tensor_parallel_size=2, deepspeed="ds.json")).notes)
    for word in ("auto_find_batch_size", "tensor_parallel_size = 2", "deepspeed"):
        assert word in notes


# axolotl

def test_axolotls_batch_size_is_that_of_one_process():
    text = axolotl(batch_size=16).replace("gradient_accumulation_steps: 4\n", "")
    found = read(text)
    assert (found.batch.per_device, found.batch.accumulation, asked(found)) == (2, 8, ["devices"])
    assert "batch_size" in refused(text.replace("16", "15"))


# DeepSpeed

@pytest.mark.parametrize("kind, params, optimizer", [
    ("Adam", {}, "adamw"), ("Adam", {"adam_w_mode": True}, "adamw"), ("Adam", {"adam_w_mode": False}, "adam"),
    ("AdamW", {}, "adamw"), ("FusedAdam", {}, "adamw"), ("SGD", {}, "sgd")])
def test_deepspeeds_adam_is_adamw_unless_told_otherwise(kind, params, optimizer):
    found = read(deepspeed(params, kind))
    assert found.optimizer == optimizer
    assert any("unless adam_w_mode" in note for note in found.notes) == (optimizer == "adamw" and kind != "AdamW")


@pytest.mark.parametrize("kind", ["OneBitAdam", "ZeroOneAdam", "Lamb", "OnebitLamb", "Muon"])
def test_deepspeeds_other_optimizers_are_refused(kind):
    assert "rule" in refused(deepspeed(kind=kind))


def test_auto_is_named_and_only_the_rate_and_the_batch_are_asked_for():
    found = read(text_of("deepspeed_auto.json"))
    assert asked(found) == ["lr", "batch_size"]
    note, = (note for note in found.notes if note.startswith('"auto"'))
    for name in ("per_device", "beta1", "weight_decay", "lr", "warmup_steps", "clip_norm"):
        assert name in note


def test_a_file_that_leaves_the_optimizer_to_the_program_asks_for_it():
    assert asked(read('{"train_batch_size": 64, "zero_optimization": {"stage": 2}}')) == ["optimizer", "lr"]


@pytest.mark.parametrize("batch, devices, questions", [
    ({"train_batch_size": 64, "gradient_accumulation_steps": 2}, 4, []), ({"train_batch_size": 64}, None, []),
    ({"gradient_accumulation_steps": 2}, None, ["devices"]), ({}, None, ["devices"]),
    ({"gradient_accumulation_steps": "auto"}, None, ["accumulation", "devices"])])
def test_two_parts_of_deepspeeds_batch_give_the_third(batch, devices, questions):
    found = read(deepspeed(**batch))
    assert (found.batch.devices, asked(found)) == (devices, questions)


def test_parts_of_deepspeeds_batch_that_contradict_each_other_are_refused():
    said = refused(deepspeed(train_batch_size=60, gradient_accumulation_steps=2))
    assert said.startswith("train_batch_size = 60 contradicts per_device 8 x accumulation 2 = 16")


def test_a_scheduler_that_sets_the_rate_gives_the_rate():
    scheduler = {"type": "WarmupLR", "params": {"warmup_max_lr": 3e-4, "warmup_num_steps": 100}}
    found = read(deepspeed({"lr": 1e-4}, scheduler=scheduler))
    assert found.hyperparameters["lr"] == 3e-4 and any("that is the rate" in note for note in found.notes)
    assert read(deepspeed({"lr": "auto"}, scheduler=scheduler)).questions == read(deepspeed()).questions


# timm

def test_timms_null_is_the_librarys_default():
    found = read(timm())
    assert found.hyperparameters == {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 2e-5}


@pytest.mark.parametrize("opt, optimizer", [("rmsprop", "rmsprop"), ("rmsproptf", "timm_rmsproptf")])
def test_timms_rmsprop_has_its_own_alpha_and_momentum(opt, optimizer):
    found = read(timm(opt=opt))
    assert found.optimizer == optimizer
    assert (found.hyperparameters["alpha"], found.hyperparameters["momentum"]) == (0.9, 0.9)
    assert read(timm(opt=opt, opt_kwargs={"alpha": 0.95}, momentum=0.8)).hyperparameters["alpha"] == 0.95


def test_timms_alpha_is_that_of_the_library():
    timm = part_of("timm", "optim", models="group_parameters")
    for name in ("rmsprop", "rmsproptf"):
        assert timm.get_optimizer_info(name).defaults["alpha"] == 0.9


@pytest.mark.parametrize("opt, scale_name, at_1024", [("adamw", "", 0.2), ("rmsprop", "", 0.4), ("adamw", "linear", 0.4),
                                                      ("sgd", "sqrt", 0.2)])
def test_timm_computes_a_null_lr_from_the_global_batch(opt, scale_name, at_1024):
    found = read(timm(opt=opt, lr=None, lr_base=0.1, lr_base_size=256, lr_base_scale=scale_name))
    assert asked(found) == ["devices"] and "lr" not in found.hyperparameters
    assert found.config({"devices": 8})["lr"] == pytest.approx(at_1024)
    assert any(said.startswith("lr is null") for said in found.double_scaling)


def test_timms_other_clip_modes_are_no_norm():
    assert "clip_norm" not in read(timm(clip_grad=1.0, clip_mode="agc")).run
    assert read(timm(clip_grad=1.0)).run["clip_norm"] == 1.0


# Lightning

LIGHTNING = """\
trainer: {devices: %s, max_steps: -1}
model: {class_path: my.Model, init_args: {lr: 0.001, weight_decay: 0.1, dropout: 0.1}}
data: {class_path: my.Data, init_args: {batch_size: 32}}
"""


@pytest.mark.parametrize("devices, count", [("4", 4), ("[0, 1]", 2), ("'0,1,2'", 3), ("auto", None), ("-1", None), ("'2'", 2)])
def test_lightnings_devices(devices, count):
    found = read(LIGHTNING % devices)
    assert found.batch.devices == count
    assert asked(found) == ["optimizer"] + ["devices"] * (count is None)


def test_lightnings_rate_among_the_models_arguments_is_a_guess_that_is_said():
    found = read(LIGHTNING % 1)
    assert found.hyperparameters == {"lr": 0.001, "weight_decay": 0.1}
    assert any("model.init_args.lr" in note and "guess" in note for note in found.notes)


def test_lightnings_batch_is_asked_for_where_the_data_have_no_name_that_we_know():
    assert asked(read((LIGHTNING % 1).replace("batch_size", "bs"))) == ["optimizer", "per_device"]


# torchtitan

def test_torchtitans_global_batch_needs_no_devices():
    text = text_of("torchtitan.toml").replace("local_batch_size = 1", "local_batch_size = 1\nglobal_batch_size = 64")
    found = read(text)
    assert (found.batch.total, asked(found)) == (64, [])


def test_torchtitans_data_parallel_degrees_are_the_devices():
    text = text_of("torchtitan.toml").replace("shard_degree = -1", "shard_degree = 8").replace("replicate_degree = 1",
                                                                                                "replicate_degree = 2")
    assert read(text).batch.devices == 16
    assert any("tensor_parallel_degree = 4" in note for note in read(text.replace("tensor_parallel_degree = 1",
                                                                                   "tensor_parallel_degree = 4")).notes)


def test_torchtitans_variables_are_not_guessed():
    text = text_of("torchtitan.py").replace("lr=3e-4", "lr=base_lr * 2")
    assert refused(text).startswith("optimizer.lr = base_lr * 2 is only known when the program runs")


def test_two_torchtitan_configurations_in_one_file_are_refused():
    assert "stands twice" in refused(text_of("torchtitan.py") + text_of("torchtitan.py"))


def test_torchtitans_comments_and_strings_are_not_read():
    text = text_of("torchtitan.py") + '# TrainingConfig(steps=1)\nx = "TrainingConfig(steps=2)"\n'
    assert read(text) == read(text_of("torchtitan.py"))


def test_torchtitans_parameter_group():
    found = read("""optimizer=OptimizersContainer.Config(param_groups=[ParamGroupConfig(pattern=r".*", optimizer_name="AdamW",
        optimizer_kwargs={"lr": 2e-4, "betas": (0.9, 0.98), "weight_decay": 0.2})]),
        training=TrainingConfig(local_batch_size=4)""")
    assert found.hyperparameters == {"lr": 2e-4, "beta1": 0.9, "beta2": 0.98, "eps": 1e-8, "weight_decay": 0.2}


# param_groups

def test_adam_and_adamw_are_told_apart_where_torch_says_and_asked_for_where_not():
    assert read(groups(decoupled_weight_decay=True, weight_decay=0.1)).optimizer == "adamw"
    assert read(groups(decoupled_weight_decay=False, weight_decay=0.1)).optimizer == "adam"
    assert read(groups()).optimizer == "adam"  # without decay they are the same
    assert asked(read(groups(weight_decay=0.1))) == ["optimizer", "batch_size"]
    assert "is covered for AdamW alone" in refused(groups(momentum_decay=0.004, decoupled_weight_decay=True, weight_decay=0.1))


@pytest.mark.parametrize("name, arguments, optimizer", [
    ("Adam", {"weight_decay": 0.1}, "adam"), ("AdamW", {}, "adamw"), ("RMSprop", {}, "rmsprop"), ("SGD", {"lr": 0.1}, "sgd"),
    ("RMSprop", {"centered": True}, "rmsprop_centered"), ("NAdam", {}, "nadam"), ("RAdam", {}, "radam"),
    ("Adam", {"amsgrad": True}, "amsgrad")])
def test_the_groups_of_real_optimizers_are_recognised(name, arguments, optimizer):
    torch = library("torch")
    made = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(2))], **arguments)
    found = read(json.dumps(made.state_dict()["param_groups"]))
    assert (found.optimizer, asked(found)) == (optimizer, ["batch_size"])
    assert read(json.dumps({"state": {}, "param_groups": made.state_dict()["param_groups"]})).config(
        {"batch_size": 8}) == found.config({"batch_size": 8})


@pytest.mark.parametrize("name", ["Adadelta", "Adagrad", "Adamax"])
def test_the_groups_of_other_optimizers_are_refused_or_asked_about(name):
    torch = library("torch")
    made = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(2))])
    text = json.dumps(made.state_dict()["param_groups"])
    assert name == "Adamax" or "has no derived rule" in refused(text)


def test_several_rates_stay_apart():
    found = read(groups({}, {"lr": 1e-4}, {"lr": 1e-3}))
    assert [(group.name, dict(group.values)) for group in found.groups] == [("group 1", {"lr": 1e-4})]


# optax and Keras

def test_optax_flat_arguments_and_rmsprop():
    found = read('{"optimizer": "rmsprop", "learning_rate": 0.001, "decay": 0.95, "eps": 1e-6, "momentum": 0.9}')
    assert found.optimizer == "optax_rmsprop" and asked(found) == ["batch_size"]
    assert found.hyperparameters == {"lr": 0.001, "alpha": 0.95, "eps": 1e-6, "momentum": 0.9}
    assert "centered" in refused('{"optimizer": "rmsprop", "learning_rate": 0.001, "decay": 0.95, "centered": true}')


def test_real_keras_optimizers_are_recognised():
    optimizers = library("keras").optimizers
    for made, optimizer in ((optimizers.RMSprop(1e-3, momentum=0.5), "keras_rmsprop"), (optimizers.Adam(1e-3), "keras_adam"),
                            (optimizers.RMSprop(1e-3, centered=True), "keras_rmsprop_centered"),
                            (optimizers.AdamW(optimizers.schedules.CosineDecay(1e-3, 1000)), "keras_adamw")):
        for data in (made.get_config(), optimizers.serialize(made)):
            found = read(json.dumps(data))
            assert (found.optimizer, asked(found)) == (optimizer, ["per_device"])
            assert found.hyperparameters["lr"] == pytest.approx(1e-3, rel=1e-6)
    assert "amsgrad" in refused(json.dumps(optimizers.Adam(1e-3, amsgrad=True).get_config()))
    assert "rule" in refused(json.dumps(optimizers.serialize(optimizers.Adadelta(1e-3, use_ema=True))))


def test_keras_batch_of_fit_counts_all_replicas_and_accumulation_multiplies_it():
    assert read(text_of("keras.json")).config({"per_device": 64}).batch_size == 128


def test_real_training_arguments_are_recognised(tmp_path):
    made = library("transformers").TrainingArguments(output_dir=str(tmp_path), use_cpu=True, warmup_steps=0.1, adam_beta2=0.95)
    found = read(made.to_json_string())
    assert (found.format, found.run["warmup_fraction"], asked(found)) == ("hf", 0.1, ["devices"])
    assert found.config({"devices": 1})["beta2"] == 0.95
