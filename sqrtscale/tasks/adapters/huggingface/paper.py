"""Two tasks of the paper on a model that somebody trained: ``sqrtscale tasks get sst2 --model FOLDER``, and ``get mlm``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ....rules import FieldError
from ....rules.errors import choice
from ..adapter import Adapter, Options, existing
from ..files import files_below
from ..saved_rows import split_of
from .folder import KINDS, check_model
from .task import HuggingFace
from .writing import checked_folder, checked_length, task_text

SST2_LENGTH, MLM_LENGTH = 64, 128  # tokens: few sentences of SST-2 have more
SST2_FILES = {"train": "train.tsv and no train*.parquet", "validation": "dev.tsv and no validation*.parquet"}
SIZES = ("tiny", "gpu")
MODEL = {"model": "folder of a model with its tokenizer, as save_pretrained writes it"}


def check_model_option(options: Options) -> Path:
    """The model's folder. Raises FieldError where it is missing or is none, and for a length or size that it cannot have."""
    choice("size", options.get("size", SIZES[0]), SIZES)
    if "model" not in options:
        raise FieldError("model", None, "is missing: give --model FOLDER, a BERT or RoBERTa with its tokenizer as "
                                        "save_pretrained writes them. Models are not fetched: docs/paper_tasks.md says how to "
                                        "get one")
    folder = checked_folder(options["model"])
    checked_length(check_model(folder), options)
    return folder


def check_trainable(kind: str, options: Options) -> None:
    """Raises FieldError also for a model that cannot be trained this way, or has no tokenizer that can be read."""
    folder = str(check_model_option(options))
    try:
        _ = HuggingFace(folder, "", kind, MLM_LENGTH).tokenizer
    except FieldError as error:
        if error.field != "kind":
            raise
        raise FieldError("model", folder, f"has no {KINDS[kind][0]} in transformers: give a BERT or RoBERTa") from error


def write_sst2(place: str, options: Options) -> str:
    """The text of a task that tells whether a sentence of a film's review is a good or a bad word."""
    folder, data = check_model_option(options), existing(place)
    there = {split_of(file, data) for file in files_below(data, (".tsv", ".parquet"))}
    for split, files in SST2_FILES.items():
        if split not in there:
            raise FieldError("data", place, f"has no {files}: give the folder of SST-2, as GLUE or a hub has it")
    return task_text(folder, data, "classification", {**options, "text-column": "sentence", "label-column": "label"}, SST2_LENGTH,
                     f"SST-2, {folder.name}")


def write_mlm(place: str, options: Options) -> str:
    """The text of a task that predicts masked tokens."""
    folder = check_model_option(options)
    data = Path(place).expanduser().absolute()
    return task_text(folder, data, "masked", options, MLM_LENGTH, f"Masked tokens of {data.name}, {folder.name}")


SST2 = Adapter("sst2", "FOLDER", "SST-2 as GLUE's train.tsv and dev.tsv or parquet, with --model", write_sst2, {
    **MODEL, "size": "tiny or gpu, for which settings are told (default: tiny)",
    "length": f"tokens of a text, at most (default: {SST2_LENGTH})"}, partial(check_trainable, "classification"))
MLM = Adapter("mlm", "FOLDER", "masked tokens of WikiText, or of any text, with --model", write_mlm, {
    **MODEL, "size": "tiny (WikiText-2) or gpu (WikiText-103)", "length": f"tokens of a window (default: {MLM_LENGTH})"},
    partial(check_trainable, "masked"))
