"""Snippets with a batch, a run and parameter groups: what the libraries do with them, counted in their own steps."""

import json

import numpy as np
import pytest
import running
from libraries import library
from samples import close

from sqrtscale.formats.snippets import SNIPPETS, snippet
from sqrtscale.rules import FieldError, ParameterGroup, TrainingConfig, scale
from sqrtscale.rules.batch import Batch

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning",
                                        "ignore:Starting from v1.9.0", "ignore::FutureWarning")
RUN = {"clip_norm": 0.5, "ema_decay": 0.98}
GROUPS = (ParameterGroup("norms", {"weight_decay": 0.0}), ParameterGroup("head", {"lr": 1e-3, "beta1": 0.95}))


def scaled_run(target=16, total=24, warmup=8, groups=(), **run):
    """AdamW from batch 8, with everything that a run may have."""
    return scale(TrainingConfig("adamw", 8, {"lr": 3e-4, "weight_decay": 0.1}, total, warmup, RUN | run, groups), target)


def torch_parameters():
    torch = library("torch")
    return {name: [torch.nn.Parameter(torch.ones(2))] for name in ("others", "norms", "head")}


def groups_of(optimizer):
    return [running.of_group(group, ("lr", "beta1", "beta2", "eps", "weight_decay")) for group in optimizer.param_groups]


def promised_groups(scaled):
    base = dict(scaled.config.hyperparameters)
    return [base, *(base | dict(group.values) for group in scaled.config.groups)]


def samples(count=400):
    torch = library("torch")
    return torch.utils.data.TensorDataset(torch.ones(count, 2))


@pytest.mark.parametrize("name", ["pytorch", "huggingface", "lightning"])
def test_groups_become_parameter_groups(name):
    scaled = scaled_run(groups=GROUPS)
    text, parameters = snippet(scaled, name), torch_parameters()
    if name == "lightning":
        optimizer = running.lightning_module(text, parameters=parameters)[0].configure_optimizers()["optimizer"]
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]  # undo the first step of warm-up
    else:
        optimizer = running.namespace(text, parameters=parameters)["optimizer"]
    assert groups_of(optimizer) == close(promised_groups(scaled))
    for group, own in zip(optimizer.param_groups, parameters.values(), strict=True):
        assert group["params"][0] is own[0]


def test_groups_in_optax_take_their_own_steps():
    jax, optax = library("jax"), library("optax")
    scaled = scale(TrainingConfig("optax_adamw", 8, {"lr": 3e-4}, groups=GROUPS), 16)
    with jax.enable_x64(True):
        made = running.namespace(snippet(scaled, "optax"), labels={"a": "others", "b": "norms", "c": "head"})["optimizer"]
        weights = {name: jax.numpy.asarray([1.0]) for name in "abc"}
        updates, _ = made.update({name: jax.numpy.asarray([0.5]) for name in "abc"}, made.init(weights), weights)
        for name, h in zip("abc", promised_groups(scaled), strict=True):
            alone = optax.adamw(h["lr"], h["beta1"], h["beta2"], h["eps"], h["eps_root"], weight_decay=h["weight_decay"])
            expected, _ = alone.update({name: jax.numpy.asarray([0.5])}, alone.init({name: weights[name]}), {name: weights[name]})
            assert np.allclose(updates[name], expected[name], rtol=1e-12)


def test_groups_without_decay_in_keras_and_no_others():
    keras = library("keras")
    layers = {"norms": [keras.Variable([1.0], name="n")], "dense": [keras.Variable([1.0], name="d")]}
    scaled = scale(TrainingConfig("keras_adamw", 8, groups=(ParameterGroup("norms", {"weight_decay": 0.0}),)), 16)
    optimizer = running.namespace(snippet(scaled, "keras"), variables=layers)["optimizer"]
    optimizer.build([*layers["norms"], *layers["dense"]])
    assert [optimizer._use_weight_decay(layers[name][0]) for name in ("norms", "dense")] == [False, True]
    with pytest.raises(FieldError, match="make an optimizer for each group"):
        snippet(scaled_run(groups=GROUPS), "keras")


@pytest.mark.parametrize("name", ["deepspeed", "timm"])
def test_formats_without_groups_say_where_groups_go(name):
    with pytest.raises(FieldError, match="groups = 'norms, head' has no place in this format"):
        snippet(scaled_run(groups=GROUPS), name)


def test_a_group_called_others_is_no_clash():
    text = snippet(scaled_run(groups=(ParameterGroup("others", {"lr": 1.0}),)), "optax")
    assert '"all others": optax' in text and '"others": optax' in text


def test_pytorch_says_how_to_clip_and_averages_the_weights():
    scaled = scaled_run()
    text = snippet(scaled, "pytorch", Batch(4, 2, 2))
    assert "clip_grad_norm_(model.parameters(), 0.353553390593)" in text
    assert "# a step is one update of the optimizer, after all accumulation" in text and "with accelerate" in text
    assert "with accelerate" not in snippet(scaled, "pytorch", Batch(8, 2, 1))  # one process steps once
    torch = library("torch")
    model = torch.nn.Linear(1, 1, bias=False)
    ema = running.namespace(text, model=model)["ema"]
    for value in (0.0, 1.0):
        torch.nn.init.constant_(model.weight, value)
        ema.update_parameters(model)
    assert ema.module.weight.item() == pytest.approx(1 - scaled.config.run["ema_decay"], rel=1e-5)


def test_accelerate_steps_a_prepared_scheduler_as_the_snippet_says(monkeypatch):
    torch, accelerate = library("torch"), library("accelerate")
    accelerate.Accelerator(cpu=True)
    monkeypatch.setitem(accelerate.state.PartialState._shared_state, "num_processes", 3)
    steps = {}
    for name, options in (("plain", {}), ("split", {"split_batches": True}), ("by hand", {"step_with_optimizer": False})):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        prepared = accelerate.scheduler.AcceleratedScheduler(
            scheduler, accelerate.optimizer.AcceleratedOptimizer(optimizer, device_placement=False), **options)
        prepared.gradient_state._set_sync_gradients(True)
        optimizer.step()
        prepared.step()
        steps[name] = scheduler.last_epoch
    assert steps == {"plain": 3, "split": 1, "by hand": 1}


def test_hugging_face_trains_that_many_updates_with_that_warmup():
    library("accelerate")
    torch = library("torch")
    scaled = scaled_run(schedule="constant", log_interval=2, checkpoint_interval=1000)
    text = snippet(scaled, "huggingface", Batch(4, 4, 1)).replace(
        '"output"', '"output", report_to=[], disable_tqdm=True, use_cpu=True')

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)
            self.batches = 0

        def forward(self, x):
            self.batches += self.training
            return {"loss": self.layer(x).square().mean()}

    net, data = Net(), [{"x": torch.ones(2)} for _ in range(400)]
    trainer = running.trainer_of(text, model=net, data=data)
    arguments = trainer.args
    assert arguments.max_grad_norm == close(scaled.config.run["clip_norm"])
    assert (arguments.logging_steps, arguments.save_steps) == (1, 500)
    assert arguments.lr_scheduler_type == "constant_with_warmup"
    trainer.train()
    assert (trainer.state.global_step, net.batches) == (12, 48)  # 24 / kappa updates, of 4 batches each
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    peak = scaled.config["lr"]
    assert rates == pytest.approx([peak * min(1, step / 4) for step in range(12)])  # 8 / kappa steps of warm-up


@pytest.mark.parametrize("run, kind, further, said", [
    ({"schedule": "linear"}, "linear", {}, False),
    ({"schedule": "cosine"}, "cosine", {}, False),
    ({"schedule": "cosine", "min_lr": 1e-5}, "cosine_with_min_lr", {"min_lr"}, False),
    ({"schedule": "wsd", "decay_steps": 8}, "warmup_stable_decay", {"num_decay_steps"}, False),
    ({"schedule": "inverse-sqrt"}, "inverse_sqrt", {}, False),
    ({"schedule": "wsd"}, "linear", {}, True),  # Trainer's own, and a comment says so
    ({"schedule": "exponential"}, "linear", {}, True),
])
def test_schedules_of_hugging_face(run, kind, further, said):
    text = snippet(scaled_run(**run), "huggingface")
    trainer = running.trainer_of(text)
    trainer.create_optimizer_and_scheduler(12)
    assert trainer.args.lr_scheduler_type == kind and set(trainer.args.lr_scheduler_kwargs or {}) == set(further)
    assert ("Trainer then takes lr linearly down to 0" in text) == ("# schedule: " in text) == said


def test_further_arguments_of_hugging_face():
    assert running.trainer_of(snippet(scaled_run(warmup=None, warmup_fraction=0.25), "huggingface")).args.warmup_steps == 0.25
    assert "warmup_steps" not in snippet(scaled_run(warmup=None, warmup_fraction=1.0), "huggingface")
    told = running.namespace(snippet(scaled_run(label_smoothing=0.1, eval_interval=10), "huggingface"))["arguments"]
    assert (told.label_smoothing_factor, told.eval_steps, told.eval_strategy) == (0.1, 5, "steps")
    bare = " ".join(snippet(scale(TrainingConfig("adamw", 8), 16), "huggingface").replace("#", "").split())
    assert "clips at 1.0" in bare and "× gradient_accumulation_steps × processes must make that" in bare


def test_lightning_trains_that_many_updates_with_that_warmup():
    torch = library("torch")
    scaled = scaled_run()
    text = snippet(scaled, "lightning", Batch(4, 4, 1))
    module, found = running.lightning_module(text)
    trainer, rates = found["trainer"], []
    step = module.training_step
    module.training_step = lambda *now: (rates.append(trainer.optimizers[0].param_groups[0]["lr"]), step(*now))[1]
    trainer.fit(module, torch.utils.data.DataLoader(samples(), batch_size=4))
    assert (trainer.global_step, len(rates)) == (12, 48)
    assert rates[::4] == pytest.approx([scaled.config["lr"] * min(1, step / 4) for step in range(1, 13)])
    assert trainer.gradient_clip_val == close(scaled.config.run["clip_norm"])
    averaging = next(one for one in trainer.callbacks if type(one).__name__ == "EMAWeightAveraging")
    old, new = torch.zeros(1), torch.ones(1)
    assert averaging._average_model.avg_fn(old, new, 1).item() == pytest.approx(1 - scaled.config.run["ema_decay"], rel=1e-5)


def test_optax_clips_warms_up_and_accumulates():
    jax = library("jax")
    scaled = scaled_run()
    with jax.enable_x64(True):
        made = running.namespace(snippet(scaled, "optax", Batch(4, 2, 2)))["optimizer"]
        x = jax.numpy.zeros(4)
        state, moves = made.init(x), []
        for _ in range(12):
            update, state = made.update(jax.numpy.full(4, 100.0), state, x)
            moves.append(-float(update[0]))
    peak = scaled.config["lr"]
    assert moves[::2] == [0.0] * 6  # nothing while it accumulates
    assert moves[1::2] == pytest.approx([peak * min(1, step / 4) for step in range(6)], rel=1e-6)
    clipped = state.inner_opt_state[1][0].mu[0]  # the gradients' norm is 200
    assert float(clipped) == pytest.approx(scaled.config.run["clip_norm"] / 2 * (1 - scaled.config["beta1"] ** 6))


def test_keras_clips_warms_up_accumulates_and_averages_once_an_update():
    keras = library("keras")
    scaled = scaled_run()
    optimizer = running.namespace(snippet(scaled, "keras", Batch(4, 2, 2)))["optimizer"]
    x = keras.Variable([0.0, 0.0, 0.0, 0.0])
    places, rates = [0.0], []
    for batch in range(12):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.full((4,), 100.0)], [x])
        if batch % 2:
            places.append(float(x[0]))
    peak, decay = scaled.config["lr"], scaled.config.run["ema_decay"]
    assert rates == pytest.approx([peak * min(1, batch / 8) for batch in range(12)], rel=1e-5)  # 4 steps of 2 batches
    assert np.diff(places) == pytest.approx([-rate for rate in rates[1::2]], rel=1e-3)  # and a little decay
    m = optimizer._momentums[0][0]
    assert float(m) == pytest.approx(scaled.config.run["clip_norm"] / 2 * (1 - scaled.config["beta1"] ** 6), rel=1e-5)
    # Each batch averages with the root of the decay: a whole update, two batches, with the decay itself.
    assert optimizer.ema_momentum ** 2 == pytest.approx(decay, rel=1e-12)
    assert "at every batch" in snippet(scaled, "keras", Batch(4, 2, 2)) and optimizer.gradient_accumulation_steps == 2


def test_keras_really_averages_at_every_batch():
    keras = library("keras")
    optimizer = keras.optimizers.SGD(learning_rate=0.0, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=4)
    x = keras.Variable([8.0])
    optimizer.build([x])
    start = float(optimizer._model_variables_moving_average[0][0])
    optimizer.apply([keras.ops.zeros((1,))], [x])
    x.assign([0.0])
    values = []
    for _ in range(3):  # no update yet
        optimizer.apply([keras.ops.zeros((1,))], [x])
        values.append(float(optimizer._model_variables_moving_average[0][0]))
    assert start == 0.0 and values[1] == values[0] / 2 and values[2] == values[1] / 2


# docs/_pages/config-json.md of deepspeedai/DeepSpeed, and the arguments of the classes in its lr_schedules.py.
NUMBER = (int, float)
DEEPSPEED = {"train_batch_size": int, "train_micro_batch_size_per_gpu": int, "gradient_accumulation_steps": int,
             "gradient_clipping": float, "optimizer": dict, "scheduler": dict}
WARMUP = {"warmup_min_lr": NUMBER, "warmup_max_lr": NUMBER, "warmup_num_steps": int, "warmup_type": str}
DEEPSPEED_SCHEDULERS = {"WarmupLR": WARMUP, "WarmupDecayLR": WARMUP | {"total_num_steps": int}}


@pytest.mark.parametrize("run, kind", [({}, "WarmupLR"), ({"schedule": "linear"}, "WarmupDecayLR"),
                                       ({"schedule": "cosine"}, "WarmupLR")])
def test_deepspeeds_json_has_only_what_its_documentation_has(run, kind):
    scaled = scaled_run(**run)
    found = json.loads(snippet(scaled, "deepspeed", Batch(4, 2, 2)))
    assert all(isinstance(value, DEEPSPEED[name]) for name, value in found.items())
    assert found["train_batch_size"] == found["train_micro_batch_size_per_gpu"] * found["gradient_accumulation_steps"] * 2
    scheduler = found["scheduler"]
    assert scheduler["type"] == kind and scheduler["params"].keys() == DEEPSPEED_SCHEDULERS[kind].keys()
    assert all(isinstance(value, DEEPSPEED_SCHEDULERS[kind][name]) for name, value in scheduler["params"].items())
    assert (scheduler["params"]["warmup_max_lr"], scheduler["params"]["warmup_num_steps"]) == (close(scaled.config["lr"]), 4)
    assert scheduler["params"]["warmup_type"] == "linear" and found["gradient_clipping"] == close(scaled.config.run["clip_norm"])


def test_timm_takes_the_run():
    scaled = scaled_run(schedule="cosine", min_lr=1e-5, dropout=0.1, label_smoothing=0.2)
    text = snippet(scaled, "timm", Batch(4, 2, 2))
    args, run = running.timm_arguments(text), scaled.config.run
    assert (args.batch_size, args.grad_accum_steps, args.sched, args.drop, args.smoothing) == (4, 2, "cosine", 0.1, 0.2)
    assert (args.clip_grad, args.min_lr, args.model_ema, args.model_ema_decay) == (
        close(run["clip_norm"]), close(run["min_lr"]), True, close(run["ema_decay"]))
    assert "n steps are n * 16 / (samples in an epoch)" in text and "2 devices" in text


@pytest.mark.parametrize("name", [name for name in SNIPPETS if name != "deepspeed"])
def test_each_snippet_says_what_a_step_is(name):
    assert "a step is one update of the optimizer, after all accumulation" in snippet(scaled_run(), name)
    assert "a step is" not in snippet(scale(TrainingConfig("adamw", 8), 16), name)
