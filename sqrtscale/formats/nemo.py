"""NeMo YAML with trainer, model.optim and exp_manager: Megatron's models, and those that Lightning feeds (speech).

Looked up: NeMo, nemo/core/optim/optimizers.py and lr_scheduler.py, examples/nlp/language_modeling/conf and examples/asr/conf. The
fused and distributed Adams are AdamW. Where ``model.micro_batch_size`` stands, passes are accumulated up to the global batch, and
``trainer.accumulate_grad_batches`` stays 1; elsewhere the batch of one device is ``model.train_ds.batch_size``.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading
from ._table import Note, Optimizer, Row, Table
from ._trainer import read_devices

SCHEDULE = "model.optim.sched"


def _more(reading: Reading) -> None:
    name = reading.get("model", "optim", "sched", "name")
    if name in ("NoamAnnealing", "NoamHoldAnnealing"):
        raise FieldError(f"{SCHEDULE}.name", name, "makes the rate out of the number of steps, so that lr is no rate: with "
                         "warmup_steps / kappa and the same lr its peak grows by sqrt(kappa) by itself; fill in the form")
    if reading.get("model", "optim", "name") == "mcore_distributed_optim":
        reading.places.pop("eps")  # it is not handed on
    if reading.has("model", "micro_batch_size"):
        reading.get("trainer", "accumulate_grad_batches")
        checks = reading.get("trainer", "val_check_interval")
        if isinstance(checks, int) and checks > 1:
            reading.take("eval_interval", "trainer", "val_check_interval")
    else:
        reading.count("accumulation", "trainer", "accumulate_grad_batches", default=1)
        read_devices(reading)
    for name in reading.table("model", "optim_param_groups"):
        reading.along("lr", "model", "optim_param_groups", name, "lr")
    if reading.get("exp_manager", "ema", "enable") and reading.has("exp_manager", "ema", "decay"):
        reading.take("ema_decay", "exp_manager", "ema", "decay")


TABLE = Table(
    key="nemo",
    label="NeMo",
    signature=Signature(
        ("exp_manager", "model.micro_batch_size", "model.global_batch_size", "model.train_ds", SCHEDULE, "model.tokenizer",
         "model.tensor_model_parallel_size", "model.data", "model.validation_ds", "model.restore_from_path"),
        least=2, needs=("trainer", "model.optim"), never=("trainer._target_", "model._target_", "model.class_path")),
    optimizer=Optimizer(("model.optim.name", "model.optim._target_"), last=True, names={
        "adam": "adam", "adamw": "adamw", "fused_adam": "adamw", "distributed_fused_adam": "adamw",
        "megatron_fused_adam": "adamw", "mcore_distributed_optim": "adamw"}),
    rows=(
        Row("lr", ("model.optim.lr",)),
        Row("beta1", ("model.optim.betas.0",), 0.9),
        Row("beta2", ("model.optim.betas.1",), 0.999),
        Row("eps", ("model.optim.eps",), 1e-8),
        Row("weight_decay", ("model.optim.weight_decay",), 0.01,
            ask="Which weight decay? model.optim.weight_decay is not in the file, and NeMo's optimizers differ in it."),
        Row("min_lr", (f"{SCHEDULE}.min_lr",)),
        Row("warmup_steps", (f"{SCHEDULE}.warmup_steps",)),
        Row("warmup_fraction", (f"{SCHEDULE}.warmup_ratio",)),
        Row("clip_norm", ("trainer.gradient_clip_val",)),
        Row("total_steps", ("trainer.max_steps",)),
        Row("per_device", ("model.data.train_ds.micro_batch_size", "model.micro_batch_size", "model.train_ds.batch_size",
                           "model.train_ds.dataloader_params.batch_size")),
        Row("global_batch", ("model.data.train_ds.global_batch_size", "model.global_batch_size")),
        Row("log_interval", ("trainer.log_every_n_steps",)),
        Row("checkpoint_interval", ("exp_manager.checkpoint_callback_params.every_n_train_steps",)),
    ),
    schedule=(f"{SCHEDULE}.name", {
        "cosineannealing": "cosine", "warmuppolicy": "constant", "inversesquarerootannealing": "inverse-sqrt",
        "warmupannealing": "linear"}),
    steps=tuple(f"{SCHEDULE}.{name}" for name in ("constant_steps", "hold_steps", "decay_steps", "max_steps", "step_size")),
    parallel=("model.tensor_model_parallel_size", "model.pipeline_model_parallel_size", "model.context_parallel_size"),
    notes=(Note("model.train_ds.batch_duration", "batch_duration makes batches of so many seconds, so samples of a step vary: "
                "where it changes instead of the passes, multiply it by kappa."),),
    more=_more,
    over=("hydra", "lightning"),
    irrelevant=(
        *(f"model.{part}_ds.{loader}batch_size" for part in ("validation", "test") for loader in ("", "dataloader_params.")),
        *(f"model.data.{part}_ds.{size}_batch_size" for part in ("validation", "test") for size in ("global", "micro")),
        "model.log_config.dataloader_params.batch_size", "model.joint.fused_batch_size", "model.train_ds.batch_duration",
        "model.nsys_profile.start_step", "model.nsys_profile.end_step", "model.megatron_timer_kwargs.log_every_n_steps",
        "model.sampler.num_steps", "model.sde.num_steps", "model.noise_schedule.num_steps", "model.decoding.beam.maes_num_steps",
        "model.decoding.beam.maes_expansion_beta"),
)
FORMAT = TABLE.format
