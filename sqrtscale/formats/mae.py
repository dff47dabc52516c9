"""The arguments of MAE's scripts and of those written after them, as JSON, YAML or a command.

Looked up: facebookresearch/mae, main_pretrain.py, main_finetune.py, main_linprobe.py and util/lr_sched.py: without ``lr`` the
rate is blr x batch_size x accum_iter x devices / 256. Pretraining has betas 0.9 and 0.95 in its source, fine-tuning torch's, both
for AdamW with torch's eps; linear probing is LARS. ``world_size`` is 1 in a file that does not say, and right in a log.
"""

from __future__ import annotations

from ..rules import FieldError
from ..rules.kinds import RATE
from ._format import Signature
from ._imported import BatchedRate
from ._optimizers import covered
from ._reading import Reading
from ._table import Optimizer, Row, Table

PRETRAINING = ("mask_ratio", "norm_pix_loss")
FINE_TUNING = ("layer_decay", "drop_path", "smoothing", "mixup", "cutmix", "reprob", "clip_grad")
SCRIPTS = {"pretrain": 0.95, "finetune": 0.999}


def _more(reading: Reading) -> None:
    """Which script it is, by the arguments that it alone has, and the rate that it computes."""
    script, model = str(reading.document.get(("launcher", "script"))), str(reading.get("model"))
    if "linprobe" in script:
        covered("launcher.script", "LARS", {})
    known = [beta2 for name, beta2 in SCRIPTS.items() if name in script]
    if model.startswith("mae_") or any(reading.document.has((name,)) for name in PRETRAINING):
        known.append(SCRIPTS["pretrain"])
    if any(reading.document.has((name,)) for name in FINE_TUNING):
        known.append(SCRIPTS["finetune"])
    if len(set(known)) > 1:
        raise FieldError("model", model, "has arguments of pretraining and of fine-tuning beside it: keep those of one of them")
    if known:
        reading.fix("beta2", known[0])
    else:
        reading.ask("beta2", "Pretraining (0.95) or fine-tuning (0.999)? MAE's scripts set beta2 in their source, and the file "
                    "does not tell which it is.", 0.95)
    if SCRIPTS["finetune"] in known:
        reading.take("min_lr", "min_lr", default=1e-6)
    if (reading.number("world_size") or 1) > 1:
        reading.count("devices", "world_size")
    if not reading.number("lr"):
        _rate(reading)


def _rate(reading: Reading) -> None:
    """lr from blr and the batch, which the script would do again at the target."""
    reading.questions = [question for question in reading.questions if question.field != "lr"]
    if reading.number("blr") is None:
        reading.ask("lr", "Which learning rate does the run start from? The file has neither lr nor blr.")
        return
    reading.batched_rate = BatchedRate(RATE.check("blr", reading.number("blr")), 256, 1.0)
    reading.doubles.append("blr: where lr is null, the script computes lr = blr x batch_size x accum_iter x devices / 256, and "
                           "would do so again at the target: set lr itself, as the export does.")


TABLE = Table(
    key="mae",
    label="MAE",
    signature=Signature(("accum_iter", "blr", "warmup_epochs", "min_lr", "dist_on_itp", "layer_decay", *PRETRAINING), least=3,
                        needs=("batch_size",), never=("opt", "sched", "optimizer", "optim")),
    optimizer=Optimizer((), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("lr",)),
        Row("beta1", (), 0.9),
        Row("eps", (), 1e-8),
        Row("weight_decay", ("weight_decay",), 0.05),
        Row("min_lr", ("min_lr",)),
        Row("clip_norm", ("clip_grad",)),
        Row("label_smoothing", ("smoothing",)),
        Row("per_device", ("batch_size",)),
        Row("accumulation", ("accum_iter",), 1),
    ),
    syntaxes=("json", "yaml", "command"),
    more=_more,
    irrelevant=("blr", "warmup_epochs", "layer_decay"),
)
FORMAT = TABLE.format
