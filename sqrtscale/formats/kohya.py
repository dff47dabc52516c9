"""kohya's sd-scripts (and musubi-tuner, which has the same arguments): the TOML of ``--config_file``, or a command.

Looked up: sd-scripts, library/train_util.py (get_optimizer, get_scheduler_fix, add_training_arguments, read_config_from_file),
train_network.py and sdxl_train.py: sections are only order, ``optimizer_args`` go to the optimizer's class,
``train_batch_size`` is of one device, and the schedule advances by the number of devices in every step.
"""

from __future__ import annotations

from ._document import Document
from ._format import Signature
from ._reading import Reading, as_number
from ._table import Note, Optimizer, Row, Table
from ._view import with_arguments, with_numbers, with_sections_joined

NAMES = {
    **dict.fromkeys(("adamw", "adamw8bit", "pagedadamw", "pagedadamw8bit", "pagedadamw32bit"), "adamw"),
    **dict.fromkeys(("sgd", "sgdnesterov", "sgdnesterov8bit"), "sgd"),
    **{name: name for name in ("adam", "nadam", "radam", "rmsprop")},
}
SCHEDULES = {
    "constant": "constant", "constant_with_warmup": "constant", "linear": "linear", "cosine": "cosine",
    "cosine_with_min_lr": "cosine", "inverse_sqrt": "inverse-sqrt", "warmup_stable_decay": "wsd",
}  # fmt: skip
SIGNATURE = Signature(
    ("network_module", "network_dim", "network_alpha", "optimizer_type", "optimizer_args", "max_train_epochs", "save_model_as",
     "caption_extension", "clip_skip", "max_data_loader_n_workers", "dataset_config", "unet_lr", "save_every_n_epochs",
     "save_precision", "enable_bucket", "max_token_length", "output_name", "no_half_vae", "sdpa", "in_json",
     "shuffle_caption", "cache_latents_to_disk"),
    never=("adam_beta1", "num_train_epochs", "per_device_train_batch_size", "_target_",
           "micro_batch_size_per_gpu"))


def _sections(document: Document) -> Document:
    return document if document.syntax == "command" else with_sections_joined(document, "learning_rate")


def _view(document: Document) -> Document:
    arranged = with_arguments(with_arguments(_sections(document), ("optimizer_args",)), ("lr_scheduler_args",))
    return with_numbers(arranged, ("block_lr",))


def _more(reading: Reading) -> None:
    """The batch of a dataset's own file, lengths that are not used, and the momentum that the program sets."""
    if not reading.number("max_train_epochs"):
        reading.take("total_steps", "max_train_steps", default=1600)
    if reading.has("dataset_config"):
        size = reading.document.get(("train_batch_size",))
        reading.ask("per_device", "How many samples does one device take in one forward pass? batch_size in the file of "
                    f"dataset_config says it{'' if size is None else f', and not train_batch_size = {size} here'}.")
    else:
        reading.count("per_device", "train_batch_size", default=1)
    if str(reading.get("optimizer_type")).lower().startswith("sgdnesterov"):
        reading.take("momentum", "optimizer_args", "momentum", default=0.9)


TABLE = Table(
    key="kohya",
    label="kohya's sd-scripts",
    signature=lambda document: SIGNATURE(_sections(document)),
    optimizer=Optimizer(("optimizer_type",), NAMES, default="adamw", last=True),
    rows=(
        Row("lr", ("learning_rate", "unet_lr")),
        Row("beta1", ("optimizer_args.betas.0",)),
        Row("beta2", ("optimizer_args.betas.1",)),
        Row("alpha", ("optimizer_args.alpha",)),
        Row("eps", ("optimizer_args.eps",)),
        Row("weight_decay", ("optimizer_args.weight_decay",)),
        Row("momentum", ("optimizer_args.momentum",)),
        Row("clip_norm", ("max_grad_norm",), 1.0),
        Row("warmup", ("lr_warmup_steps",)),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
        Row("eval_interval", ("sample_every_n_steps",)),
        Row("checkpoint_interval", ("save_every_n_steps",)),
        Row("dropout", ("network_dropout",)),
    ),
    syntaxes=("toml", "command"),
    schedule=("lr_scheduler", SCHEDULES),
    along=dict.fromkeys(("unet_lr", "text_encoder_lr", "learning_rate_te", "learning_rate_te1", "learning_rate_te2", "block_lr",
                         "lr_scheduler_args.eta_min", "lr_scheduler_args.min_lr", "lr_scheduler_args.max_lr"), "lr"),
    steps=("lr_decay_steps", "lr_scheduler_timescale", "stop_text_encoder_training", "save_last_n_steps",
           "save_last_n_steps_state", "validate_every_n_steps",
           *(f"lr_scheduler_args.{name}" for name in ("T_max", "T_0", "step_size"))),
    notes=(
        Note("lr_warmup_steps", "lr_warmup_steps counts the schedule's calls, one a device in every step: where the number of "
             "devices changes, multiply it by new / old devices.", lambda value: isinstance(as_number(value), int) and value),
    ),
    more=_more,
    view=_view,
    over=("hf",),
    irrelevant=("lr_scheduler_num_cycles", "lr_scheduler_power", "lr_scheduler_min_lr_ratio", "multires_noise_iterations",
                "train_batch_size", "max_train_steps", "vae_batch_size"),
)
FORMAT = TABLE.format
