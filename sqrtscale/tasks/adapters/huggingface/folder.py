"""What lies in a model's folder, without loading it: configuration, tokenizer, weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ....rules import FieldError
from ..files import files_below

KINDS = {  # what is trained -> the class of transformers that has such a model, and its table of those that there are
    "causal": ("AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM_MAPPING"),
    "masked": ("AutoModelForMaskedLM", "MODEL_FOR_MASKED_LM_MAPPING"),
    "classification": ("AutoModelForSequenceClassification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING"),
}
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
ARCHIVES = (".zip", ".tar", ".tgz", ".gz")
PIECES, PIECE = 16, 2**16  # of a file, and their bytes, that tell whether it has changed


def check_model(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises FieldError for what is no folder of a model with its tokenizer."""
    if not folder.is_dir():
        raise FieldError("model", str(folder), "is no folder: give one that save_pretrained wrote, or with its config.json alone")
    try:
        config = json.loads((folder / "config.json").read_text())
    except FileNotFoundError as error:
        raise FieldError("model", str(folder), "has no config.json: give a folder that save_pretrained wrote") from error
    except (OSError, ValueError) as error:
        raise FieldError("config.json", str(folder), f"cannot be read ({error}): save the model again") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise FieldError("config.json", str(folder), "names no model_type: give the configuration of a model of transformers")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise FieldError("model", str(folder), "has no tokenizer: save it there as well, with tokenizer.save_pretrained")
    return config


def has_weights(folder: Path) -> bool:
    return any(True for pattern in WEIGHTS for _ in folder.glob(pattern))


def fingerprint(model: str, data: str) -> str:
    """Of all files of a data folder, and those of a model's that lie in no folder of it: names, sizes, pieces of contents.

    Not of archives, from which the data came: they may go.
    """
    told = hashlib.sha256()
    files = sorted(file for file in Path(model).iterdir() if file.is_file() and not file.name.startswith("."))
    for file in [*files, *(file for file in files_below(Path(data)) if file.suffix.lower() not in ARCHIVES)]:
        size = file.stat().st_size
        told.update(f"{file.name}\0{size}\0".encode("utf-8", "surrogateescape"))
        with file.open("rb") as opened:
            if size <= PIECES * PIECE:
                told.update(opened.read())
                continue
            for piece in range(PIECES):
                opened.seek(piece * (size - PIECE) // (PIECES - 1))
                told.update(opened.read(PIECE))
    return told.hexdigest()[:16]
