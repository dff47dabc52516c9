"""MaxText YAML: base.yml, a short file over it, or overrides in a command.

Looked up: MaxText, src/maxtext/configs/base.yml and optimizers/optimizers.py: optax's AdamW (adam_pax is the same update). The
global batch is per_device_batch_size x gradient_accumulation_steps x all chips.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading, as_number
from ._table import Note, Optimizer, Row, Table


def _more(reading: Reading) -> None:
    if reading.get("enable_rampup_batch_size"):
        raise FieldError("enable_rampup_batch_size", True, "makes several batches, and lr belongs to one: set it to false")
    if reading.get("enable_diloco"):
        raise FieldError("enable_diloco", True, "has an outer optimizer, which the rule does not cover: set it to false")
    size = as_number(reading.get("per_device_batch_size"))
    if isinstance(size, float) and size != int(size):
        reading.ask("batch_size", f"How many samples does one optimizer step see, over all chips? Each takes {size:g} of one.")
        reading.defaults.clear()
    elif size is not None:
        reading.count("per_device", "per_device_batch_size")
        reading.ask("devices", "On how many chips does it run? The global batch is per_device_batch_size x accumulation x all "
                    "chips, also those that share one copy of the model.")


TABLE = Table(
    key="maxtext",
    label="MaxText",
    signature=Signature(
        ("per_device_batch_size", "opt_type", "adam_b1", "adam_b2", "adam_weight_decay", "gradient_clipping_threshold",
         "warmup_steps_fraction", "learning_rate_schedule_steps", "learning_rate_final_fraction", "ici_fsdp_parallelism",
         "dcn_data_parallelism", "ici_tensor_parallelism", "base_emb_dim", "base_num_decoder_layers", "remat_policy",
         "max_target_length", "base_config", "enable_checkpointing", "checkpoint_period", "dataset_type",
         "base_output_directory"),
        least=3, never=("trainer", "optimizer", "optim", "per_device_train_batch_size"),
        scripts=("MaxText.train", "MaxText/train.py", "maxtext.train", "maxtext.trainers.pre_train.train")),
    optimizer=Optimizer(("opt_type",), {"adamw": "optax_adamw", "adam_pax": "optax_adamw"}, default="adamw"),
    rows=(
        Row("lr", ("learning_rate",)),
        Row("beta1", ("adam_b1",), 0.9),
        Row("beta2", ("adam_b2",), 0.95),
        Row("eps", ("adam_eps",), 1e-8),
        Row("eps_root", ("adam_eps_root",), 0.0),
        Row("weight_decay", ("adam_weight_decay",), 0.1),
        Row("clip_norm", ("gradient_clipping_threshold",), 1.0),
        Row("warmup_fraction", ("warmup_steps_fraction",)),
        Row("total_steps", ("steps", "learning_rate_schedule_steps")),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
        Row("eval_interval", ("eval_interval",)),
        Row("checkpoint_interval", ("checkpoint_period",)),
        Row("log_interval", ("log_period",)),
    ),
    syntaxes=("yaml", "json", "command"),
    schedule=("lr_schedule_type", {"cosine": "cosine", "wsd": "wsd"}),
    steps=("learning_rate_schedule_steps",),
    notes=(
        Note("skip_step_on_spikes", "skip_step_interval counts steps: divide it by kappa."),
        Note("weight_sparsity_n", "weight_sparsity_update_step and weight_sparsity_start_step count steps: divide by kappa."),
    ),
    more=_more,
    over=("optax", "open_clip"),
    irrelevant=(
        "per_device_batch_size", "per_device_batch_size_start", "per_device_batch_size_increment", "reuse_example_batch",
        "learning_rate_final_fraction", "muon_beta", "muon_weight_decay", "diloco_outer_lr", "diloco_outer_momentum",
        "beta_fast", "beta_slow", "distill_beta", "dpo.dpo_beta", "rl.grpo_beta", "rl.grpo_epsilon", "profiler_steps",
        "skip_first_n_steps_for_profiler", "skip_step_interval", "weight_sparsity_update_step", "weight_sparsity_start_step",
        "batch_split_factor", "step_deviation_interval_seconds", "sinkhorn_iterations", "interleave_moe_layer_step",
        *(f"{weight}_tile_{kind}_batch_seq" for weight in ("wi", "wo") for kind in ("fwd", "dlhs", "drhs"))),
)
FORMAT = TABLE.format
