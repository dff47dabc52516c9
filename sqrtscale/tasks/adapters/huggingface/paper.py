"""Two tasks of the paper on a model that somebody trained: ``sqrtscale tasks get sst2 --model FOLDER``, and ``get mlm``."""

from __future__ import annotations

from pathlib import Path

from ....rules import FieldError
from ..adapter import Adapter, Options, existing
from ..files import files_below
from .writing import checked_folder, task_text

SST2_LENGTH, MLM_LENGTH = 64, 128  # tokens: few sentences of SST-2 have more
SST2_NAMES = (("train",), ("dev", "validation"))  # beginnings of the names of its files
MODEL = {"model": "folder of a model with its tokenizer, as save_pretrained writes it"}


def check_model_option(options: Options) -> Path:
    """The model's folder. Raises FieldError where it is missing or is none."""
    if "model" not in options:
        raise FieldError("model", None, "is missing: give --model FOLDER, a BERT or RoBERTa with its tokenizer as "
                                        "save_pretrained writes them. Models are not fetched: docs/paper_tasks.md says how to "
                                        "get one")
    return checked_folder(options["model"])


def write_sst2(place: str, options: Options) -> str:
    """The text of a task that tells whether a sentence of a film's review is a good or a bad word."""
    folder, data = check_model_option(options), existing(place)
    names = {file.name for file in files_below(data, (".tsv", ".parquet"))}
    for beginnings in SST2_NAMES:
        if not any(name.startswith(beginnings) for name in names):
            raise FieldError("data", place, f"has no {beginnings[0]}.tsv and no {beginnings[-1]}*.parquet: give the folder of "
                                            "SST-2, as GLUE or a hub has it")
    return task_text(folder, data, "classification", {**options, "text-column": "sentence", "label-column": "label"}, SST2_LENGTH,
                     f"SST-2, {folder.name}")


def write_mlm(place: str, options: Options) -> str:
    """The text of a task that predicts masked tokens."""
    folder = check_model_option(options)
    return task_text(folder, Path(place), "masked", options, MLM_LENGTH, f"Masked tokens of WikiText, {folder.name}")


SST2 = Adapter("sst2", "FOLDER", "SST-2 as GLUE's train.tsv and dev.tsv or parquet, with --model", write_sst2, {
    **MODEL, "size": "tiny or gpu, for which settings are told (default: tiny)",
    "length": f"tokens of a text, at most (default: {SST2_LENGTH})"}, check_model_option)
MLM = Adapter("mlm", "FOLDER", "masked tokens of WikiText, or of any text, with --model", write_mlm, {
    **MODEL, "size": "tiny (WikiText-2) or gpu (WikiText-103)", "length": f"tokens of a window (default: {MLM_LENGTH})"},
    check_model_option)
