"""timm's args.yaml, as its train.py writes and reads it, and its command. Fields and defaults: timm, train.py and timm/optim.

null is the library's default. RMSprop gets momentum = 0.9 from train.py and alpha = 0.9 from timm's factory, not torch's values.
"""

from __future__ import annotations

from ._document import Document
from ._format import CONFIGURATION, Format, Signature
from ._imported import BatchedRate
from ._reading import Reading
from .hf import interval

_KEYS = Signature(
    (
        "opt",
        "sched",
        "opt_betas",
        "opt_eps",
        "lr_base",
        "lr_base_size",
        "clip_mode",
        "model_ema",
        "warmup_epochs",
        "grad_accum_steps",
        "warmup_lr",
        "drop_path",
        "aa",
        "smoothing",
    ),
    least=2,
    never=("blr", "accum_iter", "deepspeed", "update_freq", "data_set", "data_path", "unscale_lr", "distillation_type"),
)
SCRIPTS = ("train.py", "distributed_train.sh")
NAMES = {
    "adam": "adam",
    "adamw": "adamw",
    "nadam": "nadam",
    "radam": "radam",
    "rmsprop": "rmsprop",
    "rmsproptf": "timm_rmsproptf",
    "sgd": "sgd",
    "momentum": "sgd",
    "nesterov": "sgd",
    "fusedsgd": "sgd",
    "fusedadam": "adam",
    "fusedadamw": "adamw",
    "bnbadam": "adam",
    "bnbadam8bit": "adam",
    "bnbadamw": "adamw",
    "bnbadamw8bit": "adamw",
}
SCHEDULES = {"cosine": "cosine", "multistep": "milestones", "": "constant", "none": "constant"}


def fits(document: Document) -> tuple[str, ...]:
    """Its own keys. Scripts of other names that took timm's options (DeiT's main.py) scale lr with the batch."""
    if document.syntax == "command" and not str(document.get(("launcher", "script"))).endswith(SCRIPTS):
        return ()
    return _KEYS(document)


def read(document: Document) -> Reading:
    reading = Reading(document, "timm")
    written = str(reading.text("opt", default="")).lower()
    names = NAMES | ({written: NAMES[written.replace("_", "")]} if written.replace("_", "") in NAMES else {})
    reading.named(names, "opt", default="sgd")
    rmsprop = "alpha" in reading.fields
    _rate(reading)
    kwargs = ("opt_kwargs",) if reading.table("opt_kwargs") else ()
    for name, path, default in (
        ("beta1", ("opt_betas", 0), None),
        ("beta2", ("opt_betas", 1), None),
        ("eps", ("opt_eps",), None),
        ("alpha", ("opt_kwargs", "alpha"), 0.9 if rmsprop else None),
        ("momentum", ("momentum",), 0.9),
        ("weight_decay", ("weight_decay",), 2e-5),
        ("momentum_decay", ("opt_kwargs", "momentum_decay"), None),
    ):
        if name in reading.fields:
            over = path[0].removeprefix("opt_")
            inner = (*kwargs, over, *path[1:])
            path = inner if kwargs and path[0] != "opt_kwargs" and reading.get(*inner) is not None else path
            reading.take(name, *path, default=default)
    if rmsprop:
        reading.notes.append("timm gives RMSprop momentum and alpha = 0.9 of its own, where torch has 0 and 0.99.")
    reading.count("per_device", *reading.first(("batch_size",), ("b",)), default=128)
    reading.count("accumulation", "grad_accum_steps", default=1)
    if reading.has("world_size"):  # in wandb's record of a run
        reading.count("devices", "world_size")
    _run(reading)
    return reading


def _rate(reading: Reading) -> None:
    """lr, or where it is null the rate that train.py computes from lr_base and the global batch; asked for without either."""
    if reading.number("lr") or not reading.number("lr_base"):
        reading.rate("lr")
        return
    reading.places["lr"] = ("lr",)
    base, size = reading.number("lr_base"), reading.number("lr_base_size")
    rule = reading.text("lr_base_scale", default="")
    name = reading.text("opt", default="sgd").lower()
    root = rule == "sqrt" or (not rule and ("ada" in name or "lamb" in name))
    lr = reading.fields["lr"].kind.check("lr_base", base)
    reading.batched_rate = BatchedRate(lr, max(1, int(size or 256)), 0.5 if root else 1.0)
    reading.doubles.append(
        f"lr is null, so train.py computes it from lr_base = {lr:g} x {'sqrt' if root else ''}(batch / "
        f"{reading.batched_rate.size}) and would do so again at the target: set lr itself, as the export does."
    )


def _run(reading: Reading) -> None:
    mode = reading.text("clip_mode", default="norm")
    if reading.number("clip_grad"):
        if mode == "norm":
            reading.take("clip_norm", "clip_grad")
        elif mode == "value":
            reading.notes.append("clip_grad clips by value: elements of the gradient fall like its norm, by 1 / sqrt(kappa).")
        else:
            reading.notes.append(f"clip_mode = {mode}: it is relative to the weights, and stays.")
    reading.choice("schedule", "sched", names=SCHEDULES)
    if reading.number("min_lr"):
        reading.take("min_lr", "min_lr")
    reading.along("lr", "warmup_lr")
    if reading.switch("model_ema"):
        reading.take("ema_decay", "model_ema_decay", default=0.9998)
        if reading.switch("model_ema_warmup"):
            reading.notes.append("model_ema_warmup counts steps by itself: it is not scaled.")
    interval(reading, "log_interval", ("log_interval",))
    for name, key in (("label_smoothing", "smoothing"), ("dropout", "drop")):
        if (reading.number(key) or 0) > 0:
            reading.take(name, key)


IRRELEVANT = (
    "validation_batch_size*",
    "lr_cycle_*",
    "lr_noise*",
    "lr_k_decay",
    "layer_decay",
    "bn_*",
    "decay_epochs",
    "decay_rate",
    "decay_milestones*",
    "cooldown_epochs",
    "warmup_epochs",
    "warmup_prefix",
    "lr_base*",
    "opt_betas*",
    "momentum",
)
FORMAT = Format("timm", "timm args.yaml", CONFIGURATION, fits, read, irrelevant=IRRELEVANT)
