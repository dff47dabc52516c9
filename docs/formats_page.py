"""Write docs/formats.md from the catalogue of formats and the configurations that the tests read: python docs/formats_page.py

With --check it writes nothing and ends with 1 where the page is not what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sqrtscale.formats import FORMATS, Imported, patch, read, reading_of
from sqrtscale.formats._document import shown
from sqrtscale.formats._format import Signature
from sqrtscale.formats._parsing import SYNTAXES
from sqrtscale.rules import FieldError, scale
from sqrtscale.rules.batch import ways_to

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "formats.md"
CONFIGS = ROOT / "tests" / "data" / "configs"
ANSWERS = {"devices": 8, "per_device": 32, "accumulation": 1, "batch_size": 256, "optimizer": "adamw", "lr": 1e-3,
           "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
HEAD = """# Formats

Made from the catalogue by `python docs/formats_page.py`; each example is a configuration that the tests read, scaled to four
times its batch. What a file does not say is asked for, and a learning rate is never a default. Every key that looks like a
hyperparameter is read, known to be irrelevant, or listed as not read; where one that decides the answer is not known, the import
is refused.

Any of them may also be wrapped by wandb's `config.yaml`. A command line may be pasted, or stand in a shell script (`.sh`).
PyTorch checkpoints (`.pt`, `.pth`, `.ckpt`, `.bin`) are read as their parameter groups.

| format | `--format` | written as | patched |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    examples = _examples()
    rows = [f"| [{kind.label}](#{_anchor(kind.label)}) | `{key}` | "
            f"{', '.join(SYNTAXES[syntax].label for syntax in kind.syntaxes)} | "
            f"{'yes' if kind.patchable else 'no: exported as code'} |\n" for key, kind in FORMATS.items()]
    return HEAD + "".join(rows) + "".join(_section(key, examples[key]) for key in FORMATS)


def _examples() -> dict[str, list[tuple[str, str, Imported]]]:
    """Format -> name, text and import of each of its configurations."""
    examples: dict[str, list[tuple[str, str, Imported]]] = {key: [] for key in FORMATS}
    for path in sorted(CONFIGS.iterdir()):
        text = path.read_text()
        try:
            imported = read(text, path.name)
        except FieldError:  # a configuration that is refused
            continue
        examples[imported.format].append((path.name, text, imported))
    return examples


def _section(key: str, examples: list[tuple[str, str, Imported]]) -> str:
    kind = FORMATS[key]
    places: dict[str, list[str]] = {}
    for _, text, imported in examples:
        for name, path in reading_of(text, imported).places.items():
            if shown(path) not in places.setdefault(name, []):
                places[name].append(shown(path))
    lines = [f"\n## {kind.label}\n"]
    if isinstance(kind.fits, Signature):
        keys = ", ".join(f"`{key}`" for key in (*kind.fits.needs, *kind.fits.own))
        lines.append(f"Recognised by several of {keys}.\n")
    lines += ["| ours | in the file |", "|---|---|", *(f"| {name} | {' or '.join(f'`{path}`' for path in found)} |"
                                                       for name, found in places.items())]
    difference = next((text for text in map(_difference, examples) if text), "")
    return "\n".join(lines) + "\n" + (f"\n```diff\n{difference}```\n" if difference else "")


def _difference(example: tuple[str, str, Imported]) -> str:
    """What the patch to four times the batch changes; empty where there is none to be had."""
    _, text, imported = example
    answers = {question.field: ANSWERS[question.field] for question in imported.questions if question.required}
    base = imported.config(answers)
    parts = imported.parts(answers)
    try:
        for form in ("linear", "half-life"):
            scaled = scale(base, base.batch_size * 4, form)
            if scaled.complete:
                break
        ways = ways_to(scaled.target_batch, parts.per_device, parts.devices) if parts else ()
        diff = patch(text, imported, scaled, ways[-1] if ways else None).diff
    except FieldError:
        return ""
    return "".join(f"{line}\n" for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def _anchor(label: str) -> str:
    return "".join(letter for letter in label.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text() != page())
    PAGE.write_text(page())
