"""Small checkpoints in the forms in which people keep them: how torch, trainers and other optimizer libraries lay them out."""

import copy

import torch
from transfer.optimized import advance

STEPS, WARMED, TOTAL = 40, 8, 400  # steps so far; lengths of the schedule
RATE = 1e-3
SETTINGS = {"lr": RATE, "betas": (0.9, 0.95), "weight_decay": 0.1}


def shape_of(total=TOTAL, warmup=WARMED):
    """Linear warm-up and decay, as a factor of lr at a step."""
    return lambda k: min((k + 1) / warmup, max(0.0, 1 - k / total))


def trained_run(make=torch.optim.AdamW, settings=SETTINGS, steps=STEPS, schedule=None):
    """Parameters, optimizer and scheduler (by default a LambdaLR) after so many steps."""
    generator = torch.Generator().manual_seed(5)
    parameters = [torch.nn.Parameter(torch.randn(size, generator=generator)) for size in ((4, 3), (3,))]
    optimizer = make(parameters, **settings)
    scheduler = (schedule or (lambda o: torch.optim.lr_scheduler.LambdaLR(o, shape_of())))(optimizer)
    for _ in range(steps):
        advance(optimizer, 1, generator)
        scheduler.step()
    return parameters, optimizer, scheduler


def adamw():
    return copy.deepcopy(trained_run()[1].state_dict())


def moments(size, steps=STEPS, second="exp_avg_sq", first="exp_avg"):
    generator = torch.Generator().manual_seed(size)
    return {"step": steps, first: torch.randn(size, generator=generator), second: torch.rand(size, generator=generator)}


def one_group(state, **options):
    return {"state": {0: state}, "param_groups": [{"lr": RATE, "weight_decay": 0.1, **options, "params": [0]}]}


def by_itself():
    return adamw()


def in_lightning():
    parameters, optimizer, scheduler = trained_run()
    progress = {"optimizer": {"step": {"total": {"ready": STEPS, "completed": STEPS}, "current": {"ready": 3, "completed": 3}}}}
    loops = {
        "fit_loop": {
            "epoch_loop.state_dict": {"_batches_that_stepped": STEPS},
            "epoch_progress": {"total": {"ready": 2}},
            "epoch_loop.automatic_optimization.optim_progress": progress,
        }
    }
    return {
        "epoch": 1,
        "global_step": STEPS,
        "pytorch-lightning_version": "2.5.1",
        "state_dict": {"w": parameters[0].detach()},
        "loops": loops,
        "callbacks": {},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [scheduler.state_dict()],
    }


def everything_in_one():
    parameters, optimizer, scheduler = trained_run()
    return {
        "model": {"w": parameters[0].detach()},
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "iter_num": STEPS,
        "config": {"batch_size": 12},
    }


def with_every_schedule():
    """One optimizer, and schedulers that were at it one after the other."""
    schedulers = torch.optim.lr_scheduler
    makers = (
        lambda o: schedulers.OneCycleLR(o, 1e-2, total_steps=TOTAL),
        lambda o: schedulers.MultiStepLR(o, [10, 60, 60]),
        lambda o: schedulers.SequentialLR(o, [schedulers.LinearLR(o), schedulers.CosineAnnealingLR(o, TOTAL)], [WARMED]),
        schedulers.ReduceLROnPlateau,
        lambda o: schedulers.CosineAnnealingWarmRestarts(o, 30),
        lambda o: schedulers.ExponentialLR(o, 0.99),
        lambda o: schedulers.PolynomialLR(o, TOTAL),
    )
    _, optimizer, _ = trained_run()
    made = [make(optimizer) for make in makers]
    for _ in range(STEPS):
        for scheduler in made:
            scheduler.step(*([1.0] if isinstance(scheduler, schedulers.ReduceLROnPlateau) else []))
    return {"optimizer": optimizer.state_dict(), "schedulers": [copy.deepcopy(scheduler.state_dict()) for scheduler in made]}


def by_names():
    """FSDP's full state: parameters by their names."""
    state_dict = adamw()
    names = ["layer.weight", "layer.bias"]
    return {
        "state": {names[key]: entry for key, entry in state_dict["state"].items()},
        "param_groups": [{**state_dict["param_groups"][0], "params": names}],
    }


def flattened():
    """torch.distributed.checkpoint with flatten_optimizer_state_dict."""
    named = by_names()
    flat = {f"optim.state.{name}.{key}": value for name, entry in named["state"].items() for key, value in entry.items()}
    return {**flat, **{f"optim.param_groups.{name}.lr": RATE for name in named["state"]}}


def zero(**more):
    """One rank of DeepSpeed's ZeRO: the inner optimizer, over a flat part of all weights."""
    inner = one_group(moments(24), betas=(0.9, 0.95), eps=1e-8, bias_correction=True)
    return {"optimizer_state_dict": {"base_optimizer_state": inner, "loss_scaler": 1.0, "partition_count": 8, **more}}


def zero_elastic():
    return {"optimizer_state_dict": {"base_optimizer_state": [moments(24)], "zero_stage": 2}}


def bits8():
    """bitsandbytes in blocks of 8 bits: a value is qmap[state] * absmax of its block."""
    generator = torch.Generator().manual_seed(8)
    state1, state2 = (torch.randint(0, 256, (4096,), generator=generator, dtype=torch.uint8) for _ in range(2))
    entry = {
        "step": STEPS,
        "state1": state1,
        "state2": state2,
        "qmap1": torch.linspace(-1, 1, 256),
        "qmap2": torch.linspace(0, 1, 256),
        "absmax1": torch.rand(16, generator=generator),
        "absmax2": torch.rand(16, generator=generator),
    }
    return one_group(entry, betas=(0.9, 0.95), eps=1e-8, alpha=0.0, t_alpha=None, t_beta3=None)


def bits32():
    return one_group(moments(64, second="state2", first="state1"), betas=(0.9, 0.95), eps=1e-8, alpha=0.0)


def bits8_by_tensor():
    return one_group(
        {**moments(64, second="state2", first="state1"), "max1": torch.ones(1), "new_max1": torch.ones(1)},
        betas=(0.9, 0.95),
        eps=1e-8,
    )


def one_moment_of_bits():
    return one_group({"step": STEPS, "state1": torch.rand(64)}, betas=(0.9, 0.99), eps=0.0)


def lion():
    return one_group({"exp_avg": torch.randn(8)}, betas=(0.9, 0.99))


def fused():
    """Apex: the step of all parameters stands in their group."""
    state = moments(16)
    return one_group(
        {name: state[name] for name in ("exp_avg", "exp_avg_sq")},
        betas=(0.9, 0.95),
        eps=1e-8,
        bias_correction=True,
        step=state["step"],
    )


def with_average():
    return {"optimizer": adamw(), "ema": {"decay": 0.9999, "shadow": {"w": torch.ones(3)}}, "scaler": {"scale": 65536.0}}


def muon_mixed():
    moved = {"momentum_buffer": torch.randn(4, 4)}
    groups = [
        {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.0, "use_muon": True, "params": [0]},
        {"lr": 3e-4, "betas": (0.9, 0.95), "eps": 1e-10, "weight_decay": 0.0, "use_muon": False, "params": [1]},
    ]
    return {"state": {0: moved, 1: moments(4)}, "param_groups": groups}


def rmsprop():
    settings = {"lr": RATE, "alpha": 0.9, "momentum": 0.9, "centered": True}
    return copy.deepcopy(trained_run(torch.optim.RMSprop, settings)[1].state_dict())


def before_torch_2_7():
    state_dict = adamw()
    del state_dict["param_groups"][0]["decoupled_weight_decay"]
    return state_dict


def schedule_free():
    options = {"betas": (0.9, 0.999), "eps": 1e-8, "r": 0.0, "k": STEPS, "weight_sum": 1.0, "weight_lr_power": 2.0}
    return one_group({"z": torch.randn(8), "exp_avg_sq": torch.rand(8)}, **options)


def rate_in_a_tensor():
    state_dict = adamw()
    state_dict["param_groups"][0]["lr"] = torch.tensor(RATE)
    return state_dict


def of_transformers():
    """AdamW of the transformers library, before it was torch's."""
    return one_group(moments(8), betas=(0.9, 0.95), eps=1e-6, correct_bias=True)
