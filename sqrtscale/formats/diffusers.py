"""The training scripts of diffusers (text to image, DreamBooth, ControlNet, LoRA): commands, and what wandb keeps of them.

Looked up: diffusers, examples/text_to_image/train_text_to_image.py and examples/dreambooth/train_dreambooth_lora_flux.py.
``train_batch_size`` is of one device; warm-up and lengths count optimizer steps. The scripts differ in their defaults of weight
decay (1e-2, 1e-4) and of the batch, so these are asked for.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading
from ._table import Note, Optimizer, Row, Table

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant", "constant_with_warmup": "constant"}


def _more(reading: Reading) -> None:
    if reading.switch("scale_lr"):
        raise FieldError("scale_lr", True, "makes the rate learning_rate x batch x accumulation x devices: give that product as "
                         "learning_rate, and take scale_lr out")


TABLE = Table(
    key="diffusers",
    label="diffusers' scripts",
    syntaxes=("command", "yaml", "json"),
    signature=Signature(
        ("max_train_steps", "lr_warmup_steps", "adam_weight_decay", "checkpointing_steps", "validation_prompt", "rank",
         "instance_data_dir", "validation_prompts", "instance_prompt", "class_prompt", "train_data_dir", "use_8bit_adam",
         "snr_gamma", "resolution", "with_prior_preservation", "use_ema", "scale_lr", "validation_epochs", "random_flip",
         "center_crop"),
        least=3, needs=("pretrained_model_name_or_path",),
        never=("per_device_train_batch_size", "optimizer_type", "network_module", "save_model_as", "optimizer_args")),
    optimizer=Optimizer(("optimizer",), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("learning_rate",)),
        Row("beta1", ("adam_beta1",), 0.9),
        Row("beta2", ("adam_beta2",), 0.999),
        Row("eps", ("adam_epsilon",), 1e-8),
        Row("weight_decay", ("adam_weight_decay",), 1e-2,
            ask="Which weight decay? The command has no adam_weight_decay, and the scripts' defaults differ (1e-2, 1e-4)."),
        Row("clip_norm", ("max_grad_norm",), 1.0),
        Row("per_device", ("train_batch_size",)),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
        Row("total_steps", ("max_train_steps",)),
        Row("checkpoint_interval", ("checkpointing_steps",)),
        Row("eval_interval", ("validation_steps",)),
    ),
    schedule=("lr_scheduler", SCHEDULES),
    along={"text_encoder_lr": "lr", "learning_rate_unet": "lr"},
    steps=("lr_warmup_steps",),
    notes=(Note("use_ema", "use_ema keeps an average of the weights, whose decay is in the script (EMAModel): make it "
                "decay^kappa."),),
    more=_more,
    over=("hf",),
    irrelevant=("adam_weight_decay_text_encoder", "prodigy_*", "sample_batch_size", "lr_num_cycles", "lr_power"),
)
FORMAT = TABLE.format
