"""verl's supervised fine-tuning: its YAML, or overrides of it in a command.

Looked up: verl, verl/trainer/config/sft_trainer.yaml, config/optim/*.yaml, verl/workers/config/optimizer.py and
verl/trainer/fsdp_sft_trainer.py: ``data.train_batch_size`` is global, and passes are accumulated up to it. beta2 is 0.95 or 0.999
by version.
"""

from __future__ import annotations

from ._format import Signature
from ._reading import Reading
from ._table import Optimizer, Row, Table

NAMES = {"adamw": "adamw", "_adamw": "adamw", "adamw8bit": "adamw", "adam": "adam"}
SCHEDULES = {"cosine": "cosine", "constant": "constant", "linear": "linear", "wsd": "wsd", "inverse_square_root": "inverse-sqrt"}
_OVERRIDES = (
    ("eps", ("eps",)), ("eps", ("adam_eps",)), ("beta1", ("betas", 0)), ("beta1", ("adam_beta1",)), ("beta2", ("betas", 1)),
    ("beta2", ("adam_beta2",)), ("weight_decay", ("weight_decay",)),
)


def optimizer_at(around: str) -> Optimizer:
    """The optimizer of the table ``around`` ("" or a name with a dot behind it)."""
    return Optimizer((f"{around}optimizer",), NAMES, default="adamw")


def rows_at(around: str) -> tuple[Row, ...]:
    """What every table of an optimizer has, without its second beta."""
    return (
        Row("lr", (f"{around}lr",)),
        Row("beta1", (f"{around}betas.0",), 0.9),
        Row("eps", (), 1e-8),
        Row("weight_decay", (f"{around}weight_decay",), 0.01),
        Row("min_lr", (f"{around}min_lr", f"{around}lr_min")),
        Row("warmup_steps", (f"{around}lr_warmup_steps",)),
        Row("warmup_fraction", (f"{around}lr_warmup_steps_ratio", f"{around}warmup_steps_ratio")),
    )


def irrelevant_at(around: str) -> tuple[str, ...]:
    """Keys that leave the transfer alone."""
    names = ("min_lr_ratio", "lr_decay_ratio", "num_cycles", "total_training_steps", "_target_")
    return tuple(f"{around}{name}" for name in names)


def settle(reading: Reading, *around: str) -> None:
    """What decides besides the rows: ``adam`` in small letters is Megatron's, which is AdamW, and ``Adam`` torch's; arguments in
    override_optimizer_config count instead of those beside it."""
    if reading.get(*around, "optimizer") == "adam":
        reading.chosen("adamw")
    inside = (*around, "override_optimizer_config")
    for name, path in _OVERRIDES:
        if reading.has(*inside, *path):
            reading.assumed.pop(name, None)
            reading.take(name, *inside, *path)


TABLE = Table(
    key="verl",
    label="verl SFT",
    signature=Signature(
        ("data.micro_batch_size_per_gpu", "data.micro_batch_size", "data.train_files", "data.max_length",
         "model.partial_pretrain", "optim.clip_grad", "optim.lr_warmup_steps_ratio",
         "trainer.n_gpus_per_node", "trainer.total_epochs", "trainer.default_local_dir", "trainer.project_name",
         "data.train_batch_size", "ulysses_sequence_parallel_size"),
        least=3, needs=("data",), never=("actor_rollout_ref", "trainer._target_", "trainer.max_steps", "train_module"),
        scripts=("verl.trainer.fsdp_sft_trainer", "verl.trainer.sft_trainer", "verl/trainer/fsdp_sft_trainer.py")),
    optimizer=optimizer_at("optim."),
    rows=(
        *rows_at("optim."),
        Row("beta2", ("optim.betas.1",), 0.95,
            ask="Which beta2? optim.betas is not in the file, and verl's own files have 0.95 or 0.999."),
        Row("clip_norm", ("optim.clip_grad", "optim.grad_clip"), 1.0),
        Row("per_device", ("data.micro_batch_size_per_gpu", "data.micro_batch_size")),
        Row("global_batch", ("data.train_batch_size",), 256),
        Row("total_steps", ("trainer.total_training_steps",)),
        Row("checkpoint_interval", ("trainer.save_freq",)),
        Row("eval_interval", ("trainer.test_freq",)),
    ),
    syntaxes=("yaml", "json", "command"),
    schedule=("optim.lr_scheduler", SCHEDULES),
    along={"optim.lr_warmup_init": "lr", "optim.lr_start": "lr"},
    steps=("optim.lr_decay_steps", "optim.lr_wsd_decay_steps"),
    parallel=("ulysses_sequence_parallel_size", "engine.ulysses_sequence_parallel_size", "engine.tensor_model_parallel_size",
              "engine.pipeline_model_parallel_size"),
    more=lambda reading: settle(reading, "optim"),
    over=("hydra",),
    irrelevant=(*irrelevant_at("optim."), "defaults.*.optim", "defaults.*.optim@optim"),
)
FORMAT = TABLE.format
