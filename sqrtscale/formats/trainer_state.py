"""trainer_state.json, which the Trainer keeps of a run: a record, in which the rate that the run started from does not stand.

Looked up: transformers, src/transformers/trainer_callback.py (TrainerState): ``train_batch_size`` is of one device.
"""

from __future__ import annotations

from ._format import Signature
from ._reading import Reading
from ._table import Optimizer, Row, Table


def _more(reading: Reading) -> None:
    reading.ask("lr", "Which learning rate did the run start from? A trainer_state.json does not say: training_args.bin does.")
    reading.defaults.pop("accumulation", None)
    for name, value in (("optimizer", "adamw"), ("weight_decay", 0.0), ("clip_norm", 1.0)):
        reading.assumed[name] = f"{name} = {value} (TrainingArguments' default: a trainer_state.json does not say)"


TABLE = Table(
    key="trainer_state",
    label="trainer_state.json (a record, not a configuration)",
    signature=Signature(("log_history", "global_step", "is_local_process_zero", "is_world_process_zero", "num_input_tokens_seen",
                         "is_hyper_param_search", "total_flos", "best_model_checkpoint", "train_batch_size"),
                        least=3, needs=("log_history",)),
    optimizer=Optimizer((), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("weight_decay", (), 0.0),
        Row("clip_norm", (), 1.0),
        Row("total_steps", ("max_steps",)),
        Row("per_device", ("train_batch_size",)),
        Row("eval_interval", ("eval_steps",)),
        Row("checkpoint_interval", ("save_steps",)),
        Row("log_interval", ("logging_steps",)),
    ),
    syntaxes=("json",),
    remarks=("The run's optimizer, rate and accumulation stand in its training_args.bin (TrainingArguments.to_json_string()): "
             "import that instead.",),
    more=_more,
    irrelevant=("log_history.*.step", "log_history.*.learning_rate", "global_step", "best_global_step"),
    patchable=False,
)
FORMAT = TABLE.format
