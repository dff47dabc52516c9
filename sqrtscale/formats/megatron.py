"""Megatron-LM's arguments, in YAML or as a command.

Looked up: Megatron-LM, megatron/training/arguments.py, megatron/training/config/training_config.py and
megatron/core/optimizer. ``adam`` there is AdamW unless decoupled_weight_decay is false, ``global_batch_size`` is accumulated in
micro batches, and without it there is one micro batch. What is given in samples stays.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading
from ._table import Note, Optimizer, Row, Table

OWN = (
    "train_iters", "train_samples", "lr_decay_style", "lr_decay_iters", "lr_decay_samples", "lr_warmup_iters",
    "lr_warmup_samples", "lr_warmup_fraction", "adam_beta1", "adam_beta2", "adam_eps", "clip_grad",
    "tensor_model_parallel_size", "pipeline_model_parallel_size", "num_attention_heads", "seq_length",
    "use_distributed_optimizer", "min_lr",
)
ROWS = (
    Row("lr", ("lr",)),
    Row("beta1", ("adam_beta1",), 0.9),
    Row("beta2", ("adam_beta2",), 0.999),
    Row("eps", ("adam_eps",), 1e-8),
    Row("weight_decay", ("weight_decay",), 0.01),
    Row("momentum", ("sgd_momentum",), 0.9),
    Row("clip_norm", ("clip_grad",), 1.0),
    Row("min_lr", ("min_lr",)),
    Row("warmup_steps", ("lr_warmup_iters",)),
    Row("warmup_fraction", ("lr_warmup_fraction",)),
    Row("decay_steps", ("lr_wsd_decay_iters",)),
    Row("total_steps", ("train_iters",)),
    Row("per_device", ("micro_batch_size",)),
    Row("global_batch", ("global_batch_size",)),
    Row("eval_interval", ("eval_interval", "eval_steps")),
    Row("checkpoint_interval", ("save_interval", "save_steps")),
    Row("log_interval", ("log_interval", "logging_steps")),
)
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant", "inverse-square-root": "inverse-sqrt", "wsd": "wsd"}
ALONG = {
    "lr_warmup_init": "lr",
    "decoupled_lr": "lr",
    "decoupled_min_lr": "lr",
    "start_weight_decay": "weight_decay",
    "weight_decay": "weight_decay",
}
STEPS_TOO = ("lr_decay_iters", "exit_interval", "save_retain_interval", "non_persistent_save_interval")
PARALLEL = tuple(
    f"{around}{kind}_parallel_size"
    for around in ("", "model_parallel.")
    for kind in ("tensor_model", "pipeline_model", "context")
)
NAMES = {"adam": "adamw", "adamw": "adamw", "sgd": "sgd"}
NOTES = (
    Note("deepspeed_config", "deepspeed_config: what that file says of optimizer and batch counts as well, so import it too."),
    Note("rampup_batch_size", "rampup_batch_size: the numbers are of the full batch; multiply its first and second number "
         "(start and increment) by kappa as well, and keep the third, which counts samples."),
)
IRRELEVANT = (
    "muon_momentum", "muon_scalar_optimizer", "muon_num_ns_steps", "adaptive_muon_beta2", "adaptive_muon_eps", "lion_beta1",
    "lion_beta2", "soap_shampoo_beta", "sgd_momentum", "lr_warmup_samples", "lr_decay_samples", "lr_wsd_decay_samples",
    "ft_num_warmup_iters", "cuda_graph_warmup_steps", "rampup_batch_size", "yarn_beta_fast", "yarn_beta_slow",
    "profile_step_start", "profile_step_end", "beta", "epsilon", "epsilon_high", "steps_per_generation",
)


def more(reading: Reading) -> None:
    """What a table cannot say: a batch that changes in the middle, weight decay that rises or stands in the gradient."""
    schedule = reading.get("step_batch_size_schedule")
    if schedule:
        raise FieldError("step_batch_size_schedule", schedule, "has several batches, and lr belongs to one of them: give "
                         "global_batch_size in its place, one stage at a time")
    if reading.has("end_weight_decay"):
        reading.take("weight_decay", "end_weight_decay")  # what weight_decay_incr_style leads to
    if reading.optimizer == "adamw" and reading.get("decoupled_weight_decay") is False:
        reading.chosen("adam")
    if reading.get("perform_rl_step"):
        reading.uncovered.append("This is reinforcement learning (perform_rl_step), which the rule does not cover: the batch "
                                 "counts completions of the policy that is being trained. Take the numbers as a start and tune "
                                 "them.")


TABLE = Table(
    key="megatron",
    label="Megatron-LM",
    signature=Signature(
        OWN, least=3, needs=("micro_batch_size",),
        never=("model", "dataset", "cached_dataset", "base_model", "learning_rate", "trainer", "optim_config",
               "per_device_train_batch_size", "train_micro_batch_size_per_gpu"),
        scripts=tuple(f"pretrain_{model}.py" for model in ("gpt", "bert", "t5", "mamba", "hybrid", "vlm", "retro", "ict"))),
    optimizer=Optimizer(("optimizer",), NAMES, default="adam"),
    rows=ROWS,
    syntaxes=("yaml", "json", "command"),
    schedule=("lr_decay_style", SCHEDULES),
    along=ALONG,
    steps=STEPS_TOO,
    parallel=PARALLEL,
    notes=NOTES,
    more=more,
    irrelevant=IRRELEVANT,
)
FORMAT = TABLE.format
