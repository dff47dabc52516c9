"""The training scripts of diffusers, as commands or as wandb keeps their arguments.

Looked up: diffusers, examples/ (text_to_image, dreambooth, controlnet, unconditional_image_generation and the others): AdamW,
whose defaults differ between the scripts; ``train_batch_size`` is of one device; ``scale_lr`` multiplies the rate by
accumulation, batch and devices; warm-up counts optimizer steps, but in train_unconditional.py passes, and does nothing in a
constant schedule.
"""

from __future__ import annotations

from dataclasses import replace

from ._document import Document
from ._format import Signature
from ._imported import BatchedRate
from ._reading import Reading
from ._table import Note, Optimizer, Row, Table

SCRIPTS = (  # start of the script's name -> weight decay, batch of one device, clipping; the first that fits
    ("train_unconditional", 1e-6, 16, None),
    ("train_text_to_image_decoder", 0.0, 1, 1.0),
    ("train_text_to_image_prior", 0.0, 1, 1.0),
    ("train_text_to_image_lora_decoder", 0.0, 1, 1.0),
    ("train_text_to_image_lora_prior", 0.0, 1, 1.0),
    ("train_text_to_image", 1e-2, 16, 1.0),
    ("train_instruct_pix2pix", 1e-2, 16, 1.0),
    ("train_lcm_distill", 1e-2, 16, 1.0),
    ("train_cogvideox", 1e-4, 4, 1.0),
    ("train_dreambooth_lora_", 1e-4, 4, 1.0),
    ("train_dreambooth_flux", 1e-4, 4, 1.0),
    ("train_dreambooth_sd3", 1e-4, 4, 1.0),
    ("train_dreambooth", 1e-2, 4, 1.0),
    ("train_control", 1e-2, 4, 1.0),
    ("train_t2i_adapter", 1e-2, 4, 1.0),
    ("train_custom_diffusion", 1e-2, 4, 1.0),
    ("textual_inversion", 1e-2, 16, None),
)
SCHEDULES = {"constant": "constant", "constant_with_warmup": "constant", "linear": "linear", "cosine": "cosine"}
_KEYS = Signature(
    ("train_batch_size", "max_train_steps", "checkpointing_steps", "resolution", "lr_scheduler", "instance_prompt",
     "instance_data_dir", "validation_prompt", "validation_prompts", "validation_epochs", "mixed_precision", "adam_weight_decay",
     "num_train_epochs", "use_8bit_adam", "use_ema", "snr_gamma", "random_flip", "center_crop", "noise_offset", "dataset_name",
     "train_text_encoder", "lr_warmup_steps", "scale_lr", "enable_xformers_memory_efficient_attention"),
    least=3,
    never=("network_module", "optimizer_type", "per_device_train_batch_size", "output_name", "model_name_or_path",
           "dataset_config", "text_column", "max_source_length"))
_WITH_A_MODEL = replace(_KEYS, needs=("pretrained_model_name_or_path",))
OTHERS = ("_flax", "_xla")  # scripts of the same names on other libraries, whose defaults are others
BETAS = {"train_unconditional": ("beta1", 0.95), "train_cogvideox": ("beta2", 0.95)}


def _script(document: Document) -> str:
    return str(document.get(("launcher", "script"))).rpartition("/")[2]


def fits(document: Document) -> tuple[str, ...]:
    """By the arguments of most scripts, or by fewer beside the name of a script."""
    known = _script(document).startswith(tuple(entry[0] for entry in SCRIPTS))
    return _KEYS(document) if known else _WITH_A_MODEL(document)


def _more(reading: Reading) -> None:
    """The defaults of the script, the warm-up of its schedule, and the rate that it multiplies."""
    script = _script(reading.document)
    other = any(library in script for library in OTHERS)
    about = None if other else next((entry for entry in SCRIPTS if script.startswith(entry[0])), None)
    for start, (name, default) in BETAS.items():
        if script.startswith(start):
            reading.take(name, f"adam_{name}", default=default)
    _by_the_script(reading, about)
    _warm_up(reading, script)
    if script.startswith("train_dreambooth_") and reading.get("train_text_encoder") and not reading.has("text_encoder_lr"):
        reading.notes.append("The text encoder has text_encoder_lr = 5e-6 and, in some scripts, adam_weight_decay_text_encoder = "
                             "1e-3 by default: give both, times sqrt(kappa).")
    if reading.get("scale_lr") is True and "lr" in reading.values:
        reading.batched_rate = BatchedRate(reading.values.pop("lr"), 1, 1.0)
        reading.settings[("scale_lr",)] = False
        reading.doubles.append("scale_lr: the script multiplies learning_rate by accumulation x batch x devices, and would do so "
                               "again at the target: turn it off and give the whole rate, as the export does.")


def _by_the_script(reading: Reading, about: tuple[str, float, int, float | None] | None) -> None:
    if about:
        reading.count("per_device", "train_batch_size", default=about[2])
    if about or reading.has("adam_weight_decay"):
        reading.take("weight_decay", "adam_weight_decay", default=about[1] if about else None)
    else:
        reading.ask("weight_decay", "Which adam_weight_decay? The defaults of diffusers' scripts differ (1e-2, 1e-4).", 1e-2)
    if about and about[0] == "train_unconditional":
        reading.fix("clip_norm", 1.0)
    elif reading.has("max_grad_norm") or (about and about[3]):
        reading.take("clip_norm", "max_grad_norm", default=about[3] if about else None)
    elif not about:
        reading.notes.append("Whether the script clips is not known here: where max_grad_norm has a default, divide it by "
                             "sqrt(kappa).")


def _warm_up(reading: Reading, script: str) -> None:
    if script.startswith("train_unconditional"):
        reading.accounted.add(("lr_warmup_steps",))
        reading.notes.append("train_unconditional.py warms up for lr_warmup_steps (500) x gradient_accumulation_steps / devices "
                             "steps: set lr_warmup_steps so that the product becomes 1 / kappa of what it was.")
        reading.run.setdefault("schedule", "cosine")
    elif reading.get("lr_scheduler") not in (None, "constant", "piecewise_constant"):
        reading.take("warmup_steps", "lr_warmup_steps", default=500)


TABLE = Table(
    key="diffusers",
    label="diffusers' training scripts",
    signature=fits,
    optimizer=Optimizer(("optimizer",), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("learning_rate",)),
        Row("beta1", ("adam_beta1",), 0.9),
        Row("beta2", ("adam_beta2",), 0.999),
        Row("eps", ("adam_epsilon",), 1e-8),
        Row("total_steps", ("max_train_steps",)),
        Row("per_device", ("train_batch_size",)),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
        Row("eval_interval", ("validation_steps",)),
        Row("checkpoint_interval", ("checkpointing_steps",)),
        Row("ema_decay", ("ema_max_decay",)),
    ),
    syntaxes=("command", "yaml", "json"),
    schedule=("lr_scheduler", SCHEDULES),
    along={"text_encoder_lr": "lr", "learning_rate_unet": "lr", "adam_weight_decay_text_encoder": "weight_decay"},
    notes=(Note("use_ema", "use_ema keeps an average of the weights, by 0.9999 a step where there is no ema_max_decay: make it "
                "0.9999^kappa in the script (EMAModel)."),),
    more=_more,
    over=("hf",),
    irrelevant=("scale_lr", "lr_num_cycles", "lr_power", "lr_warmup_steps", "prodigy_beta3", "sample_batch_size"),
)
FORMAT = TABLE.format
