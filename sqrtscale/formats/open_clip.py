"""open_clip's command line, the params.txt of a run, and what wandb keeps of it.

Looked up: open_clip, src/open_clip_train/params.py (betas and eps depend on the model's name), main.py, optim.py and train.py.
``batch_size`` is of one device, ``warmup`` and ``log_every_n_steps`` count optimizer steps. params.txt has Python's None.
"""

from __future__ import annotations

from dataclasses import replace

from ._document import Document
from ._format import Format, Signature
from ._reading import Reading
from ._table import Optimizer, Row, Table

OWN = (
    "accum_freq", "train_data", "train_num_samples", "imagenet_val", "zeroshot_frequency", "local_loss", "gather_with_grad",
    "lock_image", "lock_text", "dataset_type", "csv_img_key", "csv_caption_key", "csv_separator", "wd", "lr_cooldown_end",
    "epochs_cooldown", "ddp_static_graph", "save_frequency", "force_quick_gelu", "wandb_project_name", "grad_clip_norm",
)
VIT, OTHERS = {"beta1": 0.9, "beta2": 0.98, "eps": 1e-6}, {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
NAMES = {"adamw": "adamw", "timm/adamw": "adamw", "timm/adam": "adam", "timm/nadam": "nadam", "timm/radam": "radam"}
GENERATIVE = ("genlip", "genlap")
CONTRASTIVE = ("The loss compares the samples of a batch with each other, so another batch has another loss, and the rule, which "
               "holds for a mean over samples, promises nothing. Take the numbers as a start and tune them.")
TABLE = Table(
    key="open_clip",
    label="open_clip",
    syntaxes=("command", "yaml", "json"),
    signature=Signature(OWN, least=2, never=("per_device_train_batch_size", "opt_betas", "micro_batch_size", "model.name")),
    optimizer=Optimizer(("opt",), NAMES, default="adamw"),
    rows=(
        Row("lr", ("lr",)),
        Row("beta1", ("beta1",)),
        Row("beta2", ("beta2",)),
        Row("eps", ("eps",)),
        Row("weight_decay", ("wd",), 0.2),
        Row("clip_norm", ("grad_clip_norm",)),
        Row("per_device", ("batch_size",), 64),
        Row("accumulation", ("accum_freq",), 1),
        Row("log_interval", ("log_every_n_steps",)),
    ),
    along={"lr_cooldown_end": "lr"},
    irrelevant=("val_*", "audio_*", "momentum", "naflex_*", "*_layer_decay", "lr_cooldown_power"),
)


def fits(document: Document) -> tuple[str, ...]:
    """Its own keys, or the name of its module in a command."""
    script = str(document.get(("launcher", "script")))
    return TABLE.signature(document) or (("launcher.script",) if "open_clip_train" in script else ())


def read(document: Document) -> Reading:
    document = replace(document, data={key: None if value == "None" else value for key, value in document.data.items()})
    model = str(document.get(("model",)) or "RN50").lower()
    defaults = {} if str(document.get(("opt",))).startswith("timm/") else VIT if "vit" in model else OTHERS
    rows = tuple(replace(row, default=defaults.get(row.name, row.default)) for row in TABLE.rows)
    reading = replace(TABLE, rows=rows).read(document)
    if reading.has("world_size"):  # in a record of a run
        reading.count("devices", "world_size")
    if not reading.switch("skip_scheduler"):
        if reading.number("warmup") != 0:
            reading.take("warmup_steps", "warmup", default=10_000)
        shape = reading.text("lr_scheduler", default="cosine")
        reading.run["schedule"] = {"const": "constant", "const-cooldown": "wsd"}.get(shape, "cosine")
    if "naflex" in model or reading.switch("use_naflex") or any(name in model for name in GENERATIVE):
        del reading.places["per_device"]
        reading.batch["per_device"] = None
        reading.ask("batch_size", "How many samples does one optimizer step see? NaFlex makes its batches of a number of tokens.")
    if not any(name in model for name in GENERATIVE):
        reading.uncovered.append(CONTRASTIVE)
    if reading.text("precision") == "pure_bf16":
        reading.bf16_state = "precision = pure_bf16"
    return reading


FORMAT = Format("open_clip", "open_clip", TABLE.syntaxes, fits, read, irrelevant=TABLE.irrelevant)
