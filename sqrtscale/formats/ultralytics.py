"""ultralytics' args.yaml, or the words of a ``yolo`` command.

Looked up: ultralytics 8.0 to 8.4, cfg/default.yaml, engine/trainer.py and utils/loss.py. ``batch`` is of all devices, and passes
are accumulated up to about ``nbs``; weight decay is multiplied by the batch of a step / nbs; the loss is multiplied by the batch
(but for classify) and divided neither by passes nor by devices, so gradients are sums; beta2, eps, clipping at 10 and the average
of the weights have no keys. With ``optimizer: auto`` the program ignores lr0 and momentum.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._optimizers import covered
from ._reading import Reading, as_number
from ._table import Row, Table

NAMES = {"adam": "adam", "adamw": "adamw", "nadam": "nadam", "radam": "radam", "rmsprop": "rmsprop", "sgd": "sgd"}
SUMMED = ("detect", "segment", "pose", "obb")


def _optimizer(reading: Reading) -> None:
    name = reading.text("optimizer", default="auto")
    if name.lower() != "auto":
        reading.places["optimizer"] = ("optimizer",)
        reading.chosen(covered("optimizer", name, NAMES))
        reading.rate("lr0")
        momentum = "beta1" if reading.optimizer in ("adam", "adamw", "nadam", "radam") else "momentum"
        reading.take(momentum, "momentum", default=0.937)
        return
    where = "With optimizer = auto the program chooses by itself, and says it as the training starts (optimizer: AdamW(lr=...))."
    reading.ask("optimizer", f"Which optimizer does the run use? {where}", "adamw")
    reading.ask("lr", f"Which learning rate does the run start from? {where}")
    reading.accounted |= {("lr0",), ("momentum",)}
    for field in ("beta1", "momentum"):
        reading.fix(field, 0.9)
    reading.notes.append("Write the optimizer's name in place of auto, lr as lr0, and beta1 or momentum as momentum: auto "
                         "ignores them.")


def _more(reading: Reading) -> None:
    """The batch of a step, the weight decay that acts in it, and how gradients add up."""
    size, nominal = as_number(reading.get("batch")), as_number(reading.get("nbs"))
    nominal = 64 if nominal is None else nominal
    if not isinstance(nominal, int) or nominal < 1:
        raise FieldError("nbs", nominal, "is no number of samples: correct the file")
    reading.places["global_batch"] = ("nbs",)
    if isinstance(size, int) and size >= 1:
        passes = max(round(nominal / size), 1)
        reading.batch |= {"global_batch": size * passes, "accumulation": passes}
        reading.multiple_of = size
        if size * passes != nominal and "weight_decay" in reading.values:
            reading.values["weight_decay"] *= size * passes / nominal
            reading.derived.add("weight_decay")
            acts = reading.values["weight_decay"]
            reading.notes.append(f"Weight decay acts as weight_decay x {size * passes} / nbs = {acts:.6g}: the export writes "
                                 "what acts, and nbs = the batch.")
    else:
        reading.ask("batch_size", "How many samples does one optimizer step see? batch = "
                    f"{'nothing' if size is None else size} leaves it to the program.")
    task = reading.get("task")
    if task not in SUMMED and not any(word in SUMMED for word in reading.document.get(("launcher", "arguments")) or []):
        reading.notes.append(f"Of {task or 'classify'} ultralytics averages the loss of a pass and adds up passes and devices. "
                             "The numbers are right for a batch that grows by passes, as the export makes it; where batch grows, "
                             "divide eps and clipping by new / old batch.")


TABLE = Table(
    key="ultralytics",
    label="ultralytics",
    signature=Signature(
        ("lrf", "nbs", "warmup_bias_lr", "warmup_momentum", "close_mosaic", "cos_lr", "overlap_mask", "hsv_h", "mosaic", "amp",
         "optimizer", "batch", "epochs"),
        least=3, needs=("imgsz", "data"), never=("hyp", "opt", "train_batch_size")),
    optimizer=_optimizer,
    rows=(
        Row("beta2", (), 0.999),
        Row("alpha", (), 0.99),
        Row("eps", (), 1e-8),
        Row("weight_decay", ("weight_decay",), 5e-4),
        Row("clip_norm", (), 10.0),
        Row("ema_decay", (), 0.9999),
        Row("dropout", ("dropout",)),
        Row("loss_reduction", (), "sum"),
    ),
    syntaxes=("yaml", "json", "command"),
    along={"warmup_bias_lr": "lr"},
    remarks=("ultralytics adds up the losses of all samples of a step, so eps and clipping grow with the batch.",),
    more=_more,
    irrelevant=("nbs", "warmup_epochs", "warmup_momentum", "lrf", "momentum", "lr0"),
)
FORMAT = TABLE.format
