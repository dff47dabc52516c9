"""torchtitan: TOML (until February 2026) and the Python form since, whose calls stand for the same sections.

Fields and defaults: torchtitan, torchtitan/config/job_config.py and configs.py. Since August 2026 batches are counted in tokens.
"""

from __future__ import annotations

from ..rules.errors import whole
from ._document import Document
from ._format import Format, Signature
from ._python import SECTIONS as CALLS
from ._reading import Reading
from .hf import interval

NAMES = {"adamw": "adamw", "adam": "adam"}
SECTIONS = ("optimizer", "training", "lr_scheduler", "parallelism")
MODEL_PARALLEL = ("tensor_parallel_degree", "pipeline_parallel_degree", "context_parallel_degree")


_KEYS = Signature(
    (
        "training.local_batch_size",
        "training.global_batch_size",
        "training.seq_len",
        "training.steps",
        "training.max_norm",
        "training.batch_size",
        "training.num_tokens_per_train_step",
        "lr_scheduler.warmup_steps",
        "lr_scheduler.decay_ratio",
        "parallelism.data_parallel_shard_degree",
        "parallelism.tensor_parallel_degree",
        "metrics.log_freq",
        "model.flavor",
        "job.dump_folder",
        "training.warmup_steps",
        "activation_checkpoint.mode",
        "optimizer.implementation",
    )
)


def fits(document: Document) -> tuple[str, ...]:
    if document.syntax == "python":  # the calls themselves are its own
        called = any(call in document.text for call in CALLS)
        return tuple(section for section in SECTIONS if called and isinstance(document.get((section,)), dict))
    return _KEYS(document)


def read(document: Document) -> Reading:
    reading = Reading(document, "torchtitan")
    for section in (*SECTIONS, "metrics", "checkpoint", "validation", "validator"):
        reading.table(section)
    _optimizer(reading)
    _batch(reading)
    reading.take("total_steps", "training", "steps", default=10_000)
    old = reading.get("training", "warmup_steps") is not None
    total = reading.run["total_steps"]
    reading.take("warmup_steps", "training" if old else "lr_scheduler", "warmup_steps", default=min(200, total))
    if reading.run["warmup_steps"] > total:
        reading.notes.append(f"warmup_steps is more than steps: torchtitan makes it {total}.")
        reading.run["warmup_steps"] = total
    share, shape = reading.number("lr_scheduler", "decay_ratio"), reading.text("lr_scheduler", "decay_type", default="linear")
    if share is not None:
        reading.run["schedule"] = "wsd"
    elif shape in ("linear", "cosine"):
        reading.run["schedule"] = shape
    if reading.number("training", "max_norm") != 0:
        reading.take("clip_norm", "training", "max_norm", default=1.0)
    for name, path in (
        ("log_interval", ("metrics", "log_freq")),
        ("checkpoint_interval", ("checkpoint", "interval")),
        ("eval_interval", ("validation", "freq")),
        ("eval_interval", ("validator", "freq")),
    ):
        interval(reading, name, path)
    return reading


def _optimizer(reading: Reading) -> None:
    reading.named(NAMES, *reading.first(("optimizer", "name"), ("optimizer", "optimizer_name")), default="adamw")
    where = ("optimizer", "optimizer_kwargs") if reading.get("optimizer", "optimizer_kwargs") is not None else ("optimizer",)
    table = reading.table(*where)
    positional = 0 in table and "lr" not in table
    reading.rate(*where, 0 if positional else "lr")
    if len(where) > 1 or "betas" in table or "default_adamw" in reading.document.text:  # torch's arguments
        reading.take("beta1", *where, "betas", 0, default=0.9)
        reading.take("beta2", *where, "betas", 1, default=0.95)
    else:
        reading.take("beta1", *where, "beta1", default=0.9)
        reading.take("beta2", *where, "beta2", default=0.95)
    reading.take("eps", *where, "eps", default=1e-8)
    reading.take("weight_decay", *where, "weight_decay", default=0.1)


def _batch(reading: Reading) -> None:
    training = reading.table("training")
    tokens = "num_tokens_per_microbatch_per_dp_rank" in training or "num_tokens_per_train_step" in training
    local, total = (
        ("num_tokens_per_microbatch_per_dp_rank", "num_tokens_per_train_step")
        if tokens
        else ("batch_size" if "batch_size" in training else "local_batch_size", "global_batch_size")
    )
    reading.count("per_device", "training", local, default=None if tokens else 8)
    if tokens and local not in training and total not in training:
        reading.ask("per_device", f"How many tokens does one rank take in one microbatch? The file does not say {local}.")
    if tokens:
        reading.notes.append("The batch is counted in tokens: give the target in tokens as well.")
    if local == "batch_size":  # before there was accumulation
        reading.notes.append("This version of torchtitan has no global_batch_size, so no accumulation.")
    elif (reading.number("training", total) or -1) > 0:
        reading.count("global_batch", "training", total)
    else:
        reading.places["global_batch"] = ("training", total)
    replicas = whole(
        "parallelism.data_parallel_replicate_degree", reading.number("parallelism", "data_parallel_replicate_degree") or 1, 1, 2
    )
    if (reading.number("parallelism", "data_parallel_shard_degree") or -1) > 0:
        reading.count("devices", "parallelism", "data_parallel_shard_degree")
        reading.batch["devices"] = (reading.batch["devices"] or 1) * replicas
        if replicas > 1:  # two degrees make up the devices: left to the user
            del reading.places["devices"]
    reading.share_a_model(MODEL_PARALLEL, "parallelism")


IRRELEVANT = (
    "lr_scheduler.min_lr_factor",
    "lr_scheduler.min_lr",
    "validation.local_batch_size",
    "validation.steps",
    "validator.steps",
    "validator.local_batch_size",
    "comm.*_steps",
)
FORMAT = Format("torchtitan", "torchtitan", ("toml", "python"), fits, read, irrelevant=IRRELEVANT)
