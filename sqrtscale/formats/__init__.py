"""Import and export of other programs' configurations.

``read`` recognises a file and takes the configuration out of it; ``patch`` writes a scaled configuration into the same file.
To add a format: a file in this folder that defines FORMAT (copy ``levanter.py``, a table; ``axolotl.py`` where code is needed).
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from ..rules import FieldError, ScaledConfig
from ..rules.batch import Batch
from ._document import Document, WhichFunction, refuse
from ._doubles import double_scaling, double_scaling_in_text
from ._format import Format, Signature, path_of
from ._imported import BatchedRate, Imported, Patched, Question
from ._importing import as_imported
from ._parsing import as_text, parse
from ._patch import patched
from ._reading import Reading
from ._syntax import syntax_of
from ._wandb import unwrapped

NAMES = tuple(  # the key of a format is the name of its file
    module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_") and not module.ispkg
)


@cache
def _catalogue() -> dict[str, Format]:
    return {name: importlib.import_module(f"{__name__}.{name}").FORMAT for name in NAMES}


def __getattr__(name: str) -> Any:  # FORMATS is loaded when it is first asked for: most commands read no file
    if name == "FORMATS":
        return _catalogue()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin")  # torch's own files: not text, ``runner.read_checkpoint`` gives their groups


def read(text: str | bytes, filename: str = "", format: str | None = None, function: str | None = None) -> Imported:
    """Recognise a configuration and read it.

    filename: helps to tell the syntax; format: the key of a format, where the text fits several; function: which function of
    a Python text, where it has several. Raises FieldError for a text that is too large, nested too deep, broken, not
    recognised, or that holds a value its field cannot hold, a key that decides the answer and is not known, or an optimizer
    the rule does not cover; WhichFunction, a FieldError, where ``function`` must be given.
    """
    content = as_text(text)
    document = _opened(content, syntax_of(content, filename), function)
    try:
        recognised = _recognised(document, format)
        return as_imported(recognised.read(document), recognised, function)
    except FieldError as error:
        warnings = dict.fromkeys((*double_scaling(document.data), *double_scaling_in_text(content)))
        if not warnings:
            raise
        raise FieldError(error.field, error.value, f"{error.allowed}. Beware: {' '.join(warnings)}") from error


def patch(text: str | bytes, imported: Imported, scaled: ScaledConfig, batch: Batch | None = None) -> Patched:
    """The file that ``imported`` was read from, with the scaled values and the target batch in it, and the difference.

    batch: the target in parts, or None where they are not known. What the format has no field for comes back as notes.
    Raises FieldError where the text is not the one that was imported, where the batch is not the target, where a
    hyperparameter has no scaled value, and for a record that no program reads back.
    """
    format = _known(imported.format)
    if not format.patchable:
        raise FieldError("export", "file", f"is not to be had for {format.label}, which no program reads back: export code for a "
                         "library instead")
    reading = reading_of(text, imported)
    return patched(reading.document, reading, imported, scaled, batch)


def reading_of(text: str | bytes, imported: Imported) -> Reading:
    """The map from our names to the places of the file that ``imported`` was read from; raises FieldError for another text."""
    return _known(imported.format).read(_opened(as_text(text), imported.syntax, imported.function))


def _opened(content: str, syntax: str, function: str | None) -> Document:
    document = parse(content, syntax, function)
    return unwrapped(document) or document


def _recognised(document: Document, wanted: str | None) -> Format:
    """The one format that the document fits; raises FieldError for none and for several."""
    if wanted is not None:
        return _known(wanted)
    seen = {key: format.fits(document) for key, format in _catalogue().items() if document.syntax in format.syntaxes}
    general = {key for special, keys in seen.items() if keys for key in _catalogue()[special].over}
    candidates = [_catalogue()[key] for key, keys in seen.items() if keys and key not in general]
    if len(candidates) > 1:
        choices = "; ".join(f"{format.label} (--format {format.key}) by {', '.join(seen[format.key][:4])}"
                            for format in candidates)
        raise refuse(document.text, f"fits {len(candidates)} formats, so say which it is: {choices}")
    if not candidates:
        near = "; ".join(_nearest(document))
        raise refuse(
            document.text,
            f"is not recognised as any of the {len(NAMES)} formats of docs/formats.md"
            f"{f' (it has too little of {near})' if near else ''}: give the whole training configuration, say its --format, or "
            "fill in the form",
        )
    return candidates[0]


def _nearest(document: Document) -> list[str]:
    """Up to three formats of which the document has some keys, but too few, or keys of others beside them."""
    nearest = []
    for format in _catalogue().values():
        if document.syntax not in format.syntaxes or not isinstance(format.fits, Signature):
            continue
        seen = [key for key in (*format.fits.needs, *format.fits.own) if document.has(path_of(key))]
        if len(seen) > 1:
            nearest.append((len(seen), f"{format.label}: {', '.join(seen[:3])}"))
    return [text for _, text in sorted(nearest, reverse=True)[:3]]


def _known(key: str) -> Format:
    if key not in NAMES:
        raise FieldError("format", key, f"is not known: give one of {', '.join(NAMES)}")
    return _catalogue()[key]


__all__ = [
    "CHECKPOINTS",
    "FORMATS",
    "NAMES",
    "BatchedRate",
    "Format",
    "Imported",
    "Patched",
    "Question",
    "WhichFunction",
    "double_scaling",
    "double_scaling_in_text",
    "patch",
    "read",
    "reading_of",
]
