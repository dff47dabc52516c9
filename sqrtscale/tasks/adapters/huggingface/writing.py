"""The text of a task of a model's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....rules import FieldError
from ..adapter import Adapter, Options, described, whole_option
from ..saved_rows import check_folder
from .folder import KINDS, check_model, fingerprint, has_weights
from .samples import LABELS, TEXTS

LENGTH = 128  # tokens, where a model can take as many
LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")  # names of the longest input in a config.json

TEXT = '''
from sqrtscale.tasks.adapters.huggingface import HuggingFace

SAMPLE = {sample!r}
{higher}TASK = HuggingFace({folder!r},
                   {data!r},
                   kind={kind!r}, length={length}, text={text!r}, label={label!r}, contents={contents!r})


def model():
    return TASK.model()


def data(split):
    return TASK.data(split)


def loss(model, batch):
    return TASK.loss(model, batch)
'''
CLASSIFIED = '''

def collate(samples):
    return TASK.collate(samples)


def metrics(model, batch):
    return {"accuracy": TASK.accuracy(model, batch)}
'''


def write(place: str, options: Options) -> str:
    """The text of a task of that model folder."""
    kind = options.get("kind")
    folder = checked_folder(place)
    if kind not in KINDS:
        raise FieldError("kind", kind, f"is no kind of training: give --kind {', --kind '.join(KINDS)}")
    if "data" not in options:
        raise FieldError("data", None, "is missing: give --data FOLDER with the data to train on")
    return task_text(folder, Path(options["data"]), kind, options)


def checked_folder(place: str) -> Path:
    """The absolute path of a model's folder. Raises FieldError for what is none."""
    folder = Path(place).expanduser().absolute()
    check_model(folder)
    return folder


def task_text(folder: Path, data: Path, kind: str, options: Options, length: int = LENGTH, title: str | None = None) -> str:
    """The text of a task of a model's folder and a data folder. length: tokens of a sample, where no option says it and the model
    takes as many; title: in place of the names of both folders."""
    config, data = check_model(folder), data.expanduser().absolute()
    check_folder(data)
    length = checked_length(config, options, length)
    classified: bool = kind == "classification"
    start = "from the weights of the folder" if has_weights(folder) else "from random weights"
    trained = {"causal": "next token", "masked": "masked tokens", "classification": "class of a text"}[kind]
    samples = "texts of up to" if classified else "windows of"
    heading = described(title or f"{folder.name} on {data.name}", f"A model of type {config['model_type']} that predicts the "
                                                                  f"{trained}, {start}; {samples} {length} tokens.")
    body = TEXT.format(
        sample="text" if classified else f"window of {length} tokens", higher='HIGHER_IS_BETTER = ["accuracy"]\n' * classified,
        folder=str(folder), data=str(data), kind=kind, length=length, text=options.get("text-column"),
        label=options.get("label-column"), contents=fingerprint(str(folder), str(data)))
    return heading + body + CLASSIFIED * classified


def checked_length(config: Mapping[str, Any], options: Options, usual: int = LENGTH) -> int:
    """Tokens of a sample that the model takes. Raises FieldError."""
    longest = min((config[name] for name in LENGTHS if isinstance(config.get(name), int)), default=10**6)
    return whole_option(options, "length", 8, min(usual, longest), longest)


ADAPTER = Adapter("hf", "MODEL_FOLDER", "a model of transformers with its tokenizer", write, {
    "data": "folder of the data: save_to_disk, parquet, JSON lines, tabs or text",
    "kind": f"what is trained: {', '.join(KINDS)}",
    "length": f"tokens of a window or text (default: {LENGTH})",
    "text-column": f"name of the column of the texts (default: {', '.join(TEXTS)})",
    "label-column": f"name of the column of the classes (default: {', '.join(LABELS)})",
})
