"""Import and export of other programs' configurations.

``read`` recognises a file and takes the configuration out of it; ``patch`` writes a scaled configuration into the same file.
To add a format: a file in this folder that defines FORMAT (copy ``axolotl.py``), and its name below.
"""

from __future__ import annotations

from ..rules import FieldError, ScaledConfig
from ..rules.batch import Batch
from . import axolotl, deepspeed, hf, keras, lightning, model_card, optax, param_groups, timm, torchtitan
from ._document import Document, as_text, parse, refuse, syntax_of
from ._doubles import double_scaling, double_scaling_in_text
from ._imported import BatchedRate, Imported, Patched, Question
from ._patch import patched
from ._reading import Format

FORMATS: dict[str, Format] = {module.FORMAT.key: module.FORMAT for module in (
    hf, model_card, deepspeed, axolotl, timm, lightning, torchtitan, param_groups, optax, keras)}

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin")  # torch's own files: not text, ``runner.read_checkpoint`` gives their groups


def read(text: str | bytes, filename: str = "") -> Imported:
    """Recognise a configuration and read it; ``filename`` helps to tell the syntax.

    Raises FieldError for a text that is too large, nested too deep, broken, not recognised, or that holds a value its field
    cannot hold or an optimizer the rule does not cover.
    """
    content = as_text(text)
    document = parse(content, syntax_of(content, filename))
    kind = max(FORMATS.values(), key=lambda one: _score(one, document))
    if not _score(kind, document):
        again = (*double_scaling(document.data), *double_scaling_in_text(content))
        warning = f". Beware: {' '.join(dict.fromkeys(again))}" if again else ""
        raise refuse(content, f"is not recognised: give the file of {', '.join(one.label for one in FORMATS.values())}, or fill "
                     f"in the form{warning}")
    return kind.read(document).imported(kind)


def patch(text: str | bytes, imported: Imported, scaled: ScaledConfig, batch: Batch) -> Patched:
    """The file that ``imported`` was read from, with the scaled values and the target batch in it, and the difference.

    batch: the target in parts. What the format has no field for comes back as notes. Raises FieldError where the text is not
    the one that was imported, where the batch is not the target, and where a hyperparameter has no scaled value.
    """
    if imported.format not in FORMATS:
        raise FieldError("format", imported.format, f"is not known: give one of {', '.join(FORMATS)}")
    return patched(FORMATS[imported.format], text, imported, scaled, batch)


def _score(kind: Format, document: Document) -> int:
    return kind.fits(document) if document.syntax in kind.syntaxes else 0


__all__ = [
    "CHECKPOINTS",
    "FORMATS",
    "BatchedRate",
    "Format",
    "Imported",
    "Patched",
    "Question",
    "double_scaling",
    "double_scaling_in_text",
    "patch",
    "read",
]
