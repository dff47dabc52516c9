"""import(export(x)) = x for every format, with generated numbers, batches and layouts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import same, there_and_back

from sqrtscale.rules.batch import Batch

RATES = st.floats(1e-7, 1.0)
DECAYS = st.floats(0.9, 0.99999)
SMALL = st.floats(1e-12, 1e-3)
SHARES = st.just(0.0) | st.floats(1e-9, 0.5)
NORMS = st.floats(0.01, 100.0)
STEPS = st.integers(10_000, 10**7)  # so that one is left at any of the targets
ADAM = {"lr": RATES, "beta1": DECAYS, "beta2": DECAYS, "eps": SMALL, "weight_decay": SHARES}
RUN = {"clip": NORMS, "total": STEPS, "every": st.integers(1, 5000)}
BATCHES = st.builds(Batch, st.integers(1, 64), st.integers(1, 8), st.integers(1, 16))
FEW = settings(max_examples=40, deadline=None)
STYLES = st.sampled_from(["repr", "e", "text"])


def some_of(fields):
    """Any subset of the fields: what is left out has the library's default."""
    return st.fixed_dictionaries({}, optional=fields)


def number(value, style):
    """A number as different people write it; never rounded."""
    if style == "e" and isinstance(value, float):
        return f"{value:.17e}"
    return f'"{value!r}"' if style == "text" and isinstance(value, float) else repr(value)


def renamed(values, names):
    return {names[name]: value for name, value in values.items() if name in names}


def goes_round(text, base, target, **given):
    _, scaled, out, again = there_and_back(text, base, target, "half-life", **given)
    assert same(again, scaled.config), out.diff



TRAINER = {"lr": "learning_rate", "beta1": "adam_beta1", "beta2": "adam_beta2", "eps": "adam_epsilon",
           "weight_decay": "weight_decay", "clip": "max_grad_norm", "total": "max_steps", "every": "logging_steps"}


@FEW
@given(values=some_of(ADAM | RUN), base=BATCHES, target=BATCHES, indent=st.sampled_from([None, 2, 4, "\t"]))
def test_training_arguments_in_json(values, base, target, indent):
    data = {"per_device_train_batch_size": base.per_device, "gradient_accumulation_steps": base.accumulation,
            "lr_scheduler_type": "linear", **renamed(values, TRAINER)}
    goes_round(json.dumps(data, indent=indent), base, target)


@FEW
@given(values=some_of(ADAM | RUN), base=BATCHES, target=BATCHES, style=STYLES)
def test_training_arguments_in_yaml(values, base, target, style):
    lines = [f"{key}: {number(value, style)}  # {key}" for key, value in renamed(values, TRAINER).items()]
    goes_round("\n".join(["### train", f"per_device_train_batch_size: {base.per_device}", "optim: adamw_torch",
                          f"gradient_accumulation_steps: {base.accumulation}", *lines]), base, target)


@FEW
@given(values=some_of(ADAM | RUN), base=BATCHES, target=BATCHES, style=STYLES)
def test_axolotl(values, base, target, style):
    lines = [f"{key}: {number(value, style)}" for key, value in renamed(values, TRAINER).items()]
    goes_round("\n".join(["base_model: x", f"micro_batch_size: {base.per_device}", *lines,
                          f"gradient_accumulation_steps: {base.accumulation}", ""]), base, target)


@FEW
@given(lr=RATES, beta1=DECAYS, beta2=DECAYS, eps=SMALL, base=BATCHES, target=BATCHES, total=st.none() | STEPS)
def test_model_card(lr, beta1, beta2, eps, base, target, total):
    text = f"""# model\n\n- learning_rate: {lr}\n- train_batch_size: {base.per_device}\n- num_devices: {base.devices}
- gradient_accumulation_steps: {base.accumulation}\n- total_train_batch_size: {base.size}
- optimizer: Use adamw_torch with betas=({beta1},{beta2}) and epsilon={eps} and optimizer_args=None\n"""
    goes_round(text + (f"- training_steps: {total}\n" if total else "- num_epochs: 3\n"), base, target)


@FEW
@given(values=some_of(ADAM), run=some_of(RUN), base=BATCHES, target=BATCHES, kind=st.sampled_from(["Adam", "AdamW"]),
       decoupled=st.booleans(), parts=st.sampled_from(["all", "global", "micro"]))
def test_deepspeed(values, run, base, target, kind, decoupled, parts):
    params = {name: value for name, value in values.items() if name not in ("beta1", "beta2")}
    if "beta1" in values and "beta2" in values:
        params["betas"] = [values["beta1"], values["beta2"]]
    data = {"zero_optimization": {"stage": 1}, "optimizer": {"type": kind, "params": params | {"adam_w_mode": decoupled}},
            **renamed(run, {"clip": "gradient_clipping", "every": "steps_per_print"})}
    if parts != "micro":
        data["train_batch_size"] = base.size
    if parts != "global":
        data |= {"train_micro_batch_size_per_gpu": base.per_device, "gradient_accumulation_steps": base.accumulation}
    if "total" in run:
        data["scheduler"] = {"type": "WarmupCosineLR", "params": {"total_num_steps": run["total"], "warmup_num_steps": 10}}
    goes_round(json.dumps(data, indent=2), base, target)


@pytest.mark.parametrize("opt", ["adamw", "adam", "rmsprop", "rmsproptf", "nadam", "sgd"])
@FEW
@given(values=some_of({"lr": RATES, "betas": st.lists(DECAYS, min_size=2, max_size=2), "eps": SMALL, "weight_decay": SHARES,
                       "clip_grad": NORMS, "min_lr": RATES, "momentum": st.floats(0.0, 0.99), "ema": DECAYS}),
       base=BATCHES, target=BATCHES)
def test_timm(opt, values, base, target):
    data = {"opt": opt, "sched": "cosine", "lr": None, "lr_base": 0.1, "lr_base_size": 256, "opt_eps": None, "opt_betas": None,
            "batch_size": base.per_device, "grad_accum_steps": base.accumulation, "model_ema": "ema" in values}
    data |= renamed(values, {"lr": "lr", "betas": "opt_betas", "eps": "opt_eps", "weight_decay": "weight_decay",
                             "momentum": "momentum", "clip_grad": "clip_grad", "min_lr": "min_lr", "ema": "model_ema_decay"})
    goes_round("".join(f"{key}: {'null' if value is None else json.dumps(value)}\n" for key, value in sorted(data.items())),
               base, target)


@FEW
@given(values=some_of(ADAM), run=some_of(RUN), base=BATCHES, target=BATCHES, flow=st.booleans(),
       name=st.sampled_from(["torch.optim.AdamW", "torch.optim.Adam", "torch.optim.RAdam"]))
def test_lightning(values, run, base, target, flow, name):
    arguments = {key: value for key, value in values.items() if key not in ("beta1", "beta2")}
    if "beta1" in values and "beta2" in values:
        arguments["betas"] = [values["beta1"], values["beta2"]]
    lines = json.dumps(arguments) if flow else "".join(f"\n    {key}: {value!r}" for key, value in arguments.items())
    trainer = renamed(run, {"clip": "gradient_clip_val", "total": "max_steps", "every": "log_every_n_steps"})
    goes_round(f"""trainer:
  devices: {base.devices}
  accumulate_grad_batches: {base.accumulation}
{''.join(f'  {key}: {value!r}{chr(10)}' for key, value in trainer.items())}data:
  init_args: {{batch_size: {base.per_device}, workers: 4}}
optimizer:
  class_path: {name}
  init_args: {lines}
seed_everything: 1
""", base, target)


TITAN = {"lr": ("optimizer", "lr"), "beta1": ("optimizer", "beta1"), "beta2": ("optimizer", "beta2"), "eps": ("optimizer", "eps"),
         "weight_decay": ("optimizer", "weight_decay"), "clip": ("training", "max_norm"), "total": ("training", "steps"),
         "every": ("checkpoint", "interval")}
CALLS = {"optimizer": "OptimizersContainer.Config", "training": "TrainingConfig", "checkpoint": "CheckpointManager.Config",
         "lr_scheduler": "LRSchedulersContainer.Config"}


def titan(values, base):
    sections = {"optimizer": {}, "training": {"local_batch_size": base.per_device}, "lr_scheduler": {"warmup_steps": 20},
                "checkpoint": {}}
    if base.accumulation > 1:
        sections["training"]["global_batch_size"] = base.size
    for name, value in values.items():
        section, key = TITAN[name]
        sections[section][key] = value
    return sections


@FEW
@given(values=some_of(ADAM | RUN), base=BATCHES, target=BATCHES)
def test_torchtitan_in_toml(values, base, target):
    text = "".join(f"[{section}]  # {section}\n" + "".join(f"{key} = {value!r}\n" for key, value in entries.items())
                   for section, entries in titan(values, base).items())
    goes_round(text, base, target)


@FEW
@given(values=some_of(ADAM | RUN), base=BATCHES, target=BATCHES, lines=st.booleans())
def test_torchtitan_in_python(values, base, target, lines):
    def call(section, entries):
        arguments = [f"{key}={value!r}" for key, value in entries.items()]
        inside = "".join(f"\n        {one},  # {section}" for one in arguments) + "\n    " if lines else ", ".join(arguments)
        return f"    {section}={CALLS[section]}({inside}),\n"

    text = "c = Trainer.Config(\n" + "".join(call(*one) for one in titan(values, base).items()) + ")\n"
    compile(text, "base.py", "exec")
    goes_round(text, base, target)


@FEW
@given(groups=st.lists(st.fixed_dictionaries({  # neighbouring floats may round to one when they are scaled
           "lr": RATES.map(lambda x: float(f"{x:.3g}")),
           "betas": st.lists(DECAYS.map(lambda x: round(x, 6)), min_size=2, max_size=2),
           "eps": st.sampled_from([1e-8, 1e-6]), "weight_decay": st.sampled_from([0.0, 0.1])}), min_size=1, max_size=4),
       base=BATCHES, target=BATCHES, decoupled=st.booleans(), initial=st.booleans())
def test_param_groups(groups, base, target, decoupled, initial):
    common = {"amsgrad": False, "decoupled_weight_decay": decoupled, "foreach": None}
    data = [group | common | ({"initial_lr": group["lr"] * 2} if initial else {}) | {"params": [i]}
            for i, group in enumerate(groups)]
    if decoupled and not data[0]["weight_decay"]:
        data[0]["weight_decay"] = 0.1  # without decay the first group is as good as Adam's
    goes_round(json.dumps(data), base, target)


@FEW
@given(values=some_of(ADAM | {"eps_root": SMALL}), base=BATCHES, target=BATCHES, name=st.sampled_from(["adam", "adamw"]),
       schedule=st.booleans())
def test_optax(values, base, target, name, schedule):
    data = {"optimizer": f"optax.{name}", "batch_size": base.size,
            **renamed(values, {"beta1": "b1", "beta2": "b2", "eps": "eps", "eps_root": "eps_root"})}
    if name == "adamw":
        data |= renamed(values, {"weight_decay": "weight_decay"})
    if "lr" in values:
        data["learning_rate"] = {"peak_value": values["lr"], "decay_steps": 5000} if schedule else values["lr"]
    goes_round(json.dumps(data), base, target)


@FEW
@given(values=some_of(ADAM | {"clip": NORMS, "ema": DECAYS}), base=BATCHES, target=BATCHES, whole=st.booleans(),
       name=st.sampled_from(["Adam", "AdamW"]))
def test_keras(values, base, target, whole, name):
    config = {"name": name.lower(), "learning_rate": values.get("lr", 1e-3), "use_ema": "ema" in values, "amsgrad": False,
              "beta_1": values.get("beta1", 0.9),
              "gradient_accumulation_steps": base.accumulation if base.accumulation > 1 else None,
              **renamed(values, {"beta2": "beta_2", "eps": "epsilon", "weight_decay": "weight_decay", "clip": "global_clipnorm",
                                 "ema": "ema_momentum"})}
    data = {"module": "keras.optimizers", "class_name": name, "config": config, "registered_name": None} if whole else config
    goes_round(json.dumps(data), base, target)
