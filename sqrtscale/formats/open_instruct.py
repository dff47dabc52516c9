"""open-instruct's SFT and DPO YAML: keys as in TrainingArguments, but neither betas nor epsilon, and no clipping by default.

Looked up: open-instruct, open_instruct/finetune.py, dpo_utils.py and olmo_core_utils.py: torch's AdamW with torch's betas and
eps. Its parser refuses keys that it does not know.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading, as_number
from ._table import Note, Optimizer, Row, Table

_ROLLOUTS = ("num_unique_prompts_rollout", "num_samples_per_prompt_rollout", "number_samples_per_prompt",
             "local_rollout_batch_size")
_OWN = Signature(
    ("with_tracking", "checkpointing_steps", "use_slow_tokenizer", "dataset_mixer_list", "dataset_mix_dir", "clip_grad_norm",
     "keep_last_n_checkpoints", "dataset_transform_fn", "hf_metadata_dataset", "add_bos", "chat_template_name",
     "final_lr_ratio", *_ROLLOUTS),
    least=2, needs=("model_name_or_path",),
    never=("adam_beta1", "adam_beta2", "adam_epsilon", "train_batch_size", "num_warmup_steps", "lr_warmup_steps", "optim",
           "eval_strategy", "evaluation_strategy", "save_steps", "bf16", "template", "stage"),
    scripts=tuple(f"open_instruct/{name}.py" for name in ("finetune", "olmo_core_finetune", "dpo", "dpo_tune_cache")))


def _more(reading: Reading) -> None:
    rollouts = next((key for key in _ROLLOUTS if reading.has(key)), None)
    if rollouts:
        raise FieldError(rollouts, reading.get(rollouts), "is reinforcement learning, which the rule does not cover, and its "
                         "batch is made of several keys: fill in the form, and tune what it gives")
    if isinstance(as_number(reading.get("checkpointing_steps")), int):
        reading.take("checkpoint_interval", "checkpointing_steps")


TABLE = Table(
    key="open_instruct",
    label="open-instruct",
    signature=_OWN,
    optimizer=Optimizer(("optimizer_type",), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("learning_rate",)),
        Row("beta1", (), 0.9),
        Row("beta2", (), 0.999),
        Row("eps", (), 1e-8),
        Row("weight_decay", ("weight_decay",), 0.0),
        Row("clip_norm", ("clip_grad_norm", "max_grad_norm")),
        Row("warmup_fraction", ("warmup_ratio",)),
        Row("total_steps", ("max_train_steps",)),
        Row("log_interval", ("logging_steps",)),
        Row("per_device", ("per_device_train_batch_size",), 8),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
    ),
    syntaxes=("yaml", "json", "command"),
    schedule=("lr_scheduler_type", {"linear": "linear", "cosine": "cosine", "constant": "constant",
                                    "constant_with_warmup": "constant"}),
    parallel=("sequence_parallel_size", "tensor_parallel_degree", "context_parallel_degree", "cp_degree"),
    notes=(
        Note("reduce_loss", "reduce_loss = sum: gradients are summed over one device's tokens, and averaged over devices and "
             "passes: keep per_device_train_batch_size, and take passes or devices.", lambda value: value == "sum"),
        Note("optimizer_kwargs", "optimizer_kwargs is not read: where betas or eps are in it, give them by hand."),
    ),
    more=_more,
    over=("hf",),
    irrelevant=("beta", "gamma_beta_ratio", "final_lr_ratio", "checkpointing_steps"),
)
FORMAT = TABLE.format
