"""ai-toolkit's YAML, or the JSON of its page.

Looked up: ai-toolkit, toolkit/config_modules.py (TrainConfig, EMAConfig), toolkit/optimizer.py (eps is 1e-6 always),
toolkit/scheduler.py and extensions_built_in/sd_trainer/SDTrainer.py: ``gradient_accumulation`` adds up the gradients of its
passes without dividing, so a larger batch is right as a larger ``batch_size``; ``gradient_accumulation_steps`` differs between
versions.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading
from ._table import Optimizer, Row, Table

AT = "config.process.0"
TRAIN = ("config", "process", 0, "train")
NAMES = {
    "adam": "adam",
    "adam8bit": "adam",
    **dict.fromkeys(("adamw", "adamw8bit", "adamw8", "adam8"), "adamw"),  # adam8 decouples its decay as well
}
SCHEDULES = {"constant": "constant", "constant_with_warmup": "constant", "cosine": "cosine", "cosine_with_restarts": "cosine"}


def _more(reading: Reading) -> None:
    """Accumulation, which has to stay, and defaults that depend on other values."""
    if reading.document.has(("config", "process", 1)):
        raise FieldError("config.process", "several", "are trainings of their own: give a file with one of them")
    steps = reading.number(*TRAIN, "gradient_accumulation_steps")
    if steps not in (None, 1):
        raise FieldError(f"{AT}.train.gradient_accumulation_steps", steps, "counts passes as steps, and differs between "
                         "ai-toolkit's versions: write gradient_accumulation in its place")
    reading.count("accumulation", *TRAIN, "gradient_accumulation", default=1)
    del reading.places["accumulation"]
    reading.notes.append("ai-toolkit adds up the gradients of gradient_accumulation without dividing, so the larger batch is a "
                         "larger batch_size. Where you raise gradient_accumulation instead, multiply max_grad_norm by new / old.")
    if str(reading.get(*TRAIN, "optimizer")).lower() in ("adamw8", "adam8"):
        reading.take("weight_decay", *TRAIN, "optimizer_params", "weight_decay", default=0.0)
    if reading.get(*TRAIN, "lr_scheduler") == "constant_with_warmup":
        reading.take("warmup_steps", *TRAIN, "lr_scheduler_params", "num_warmup_steps", default=1000)
    if reading.switch(*TRAIN, "ema_config", "use_ema"):
        reading.take("ema_decay", *TRAIN, "ema_config", "ema_decay", default=0.999)


TABLE = Table(
    key="ai_toolkit",
    label="ai-toolkit",
    signature=Signature(
        tuple(f"{AT}.{name}" for name in (
            "network.type", "save.save_every", "datasets", "model.name_or_path", "sample.sample_every", "train.noise_scheduler",
            "train.batch_size", "training_folder")),
        least=3, needs=("job", f"{AT}.type", f"{AT}.train")),
    optimizer=Optimizer((f"{AT}.train.optimizer",), NAMES, default="adamw"),
    rows=(
        Row("lr", (f"{AT}.train.lr",)),
        Row("beta1", (f"{AT}.train.optimizer_params.betas.0",)),
        Row("beta2", (f"{AT}.train.optimizer_params.betas.1",)),
        Row("eps", (), 1e-6),
        Row("weight_decay", (f"{AT}.train.optimizer_params.weight_decay",)),
        Row("clip_norm", (f"{AT}.train.max_grad_norm",), 1.0),
        Row("min_lr", (f"{AT}.train.lr_scheduler_params.eta_min",)),
        Row("total_steps", (f"{AT}.train.steps",), 1000),
        Row("per_device", (f"{AT}.train.batch_size",), 1),
        Row("eval_interval", (f"{AT}.sample.sample_every",)),
        Row("checkpoint_interval", (f"{AT}.save.save_every",)),
        Row("log_interval", (f"{AT}.logging.log_every",)),
    ),
    syntaxes=("yaml", "json"),
    schedule=(f"{AT}.train.lr_scheduler", SCHEDULES),
    along={f"{AT}.train.{name}_lr": "lr" for name in ("unet", "text_encoder", "refiner", "embedding", "adapter")},
    steps=(f"{AT}.train.lr_scheduler_params.step_size", f"{AT}.train.switch_boundary_every"),
    more=_more,
    irrelevant=(f"{AT}.save.max_step_saves_to_keep", f"{AT}.sample.sample_steps", f"{AT}.sample.sample_start_step",
                f"{AT}.train.start_step", f"{AT}.train.ema_config.ema_decay"),
)
FORMAT = TABLE.format
