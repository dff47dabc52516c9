"""What of a file was not read: every key that looks like a hyperparameter is read, known to be irrelevant, or named.

A key is judged by its words (``adam_beta1``, ``learningRate``, ``BATCH_SIZE``), at any depth, whatever the format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ._document import Document, Path, Unread, dotted, shown
from ._vocabulary import (
    BATCH_WORDS,
    NO_BATCH,
    NO_RATE,
    NO_STEPS,
    NO_TYPE,
    NORM_WORDS,
    OPTIMIZER_WORDS,
    RATE_WORDS,
    STEP_WORDS,
    TYPE_KEYS,
)
from ._yaml import parse_number

LONGEST_KEY = 100
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True)
class Leftover:
    """A key that was not read: its path and value, what it looks like, and whether the answer could depend on it."""

    path: Path
    value: Any
    kind: str
    decides: bool

    def __str__(self) -> str:
        text = " ".join(str(self.value).split())
        tail = ": it counts steps, so divide it by kappa" if self.kind == "number of steps" else ""
        return f"{shown(self.path)} = {text[:40]} (looks like {self.looks}){tail}"

    @property
    def looks(self) -> str:
        """What it looks like, with its article."""
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"


def leftovers(document: Document, accounted: Iterable[Path], irrelevant: Iterable[str]) -> list[Leftover]:
    """Every key that looks like a hyperparameter and is neither accounted for nor irrelevant.

    accounted: paths that were read; irrelevant: dotted names, with ``*`` for anything, known to leave the transfer alone.
    """
    read, patterns = set(accounted), tuple(irrelevant)
    unread = []
    for path, value in _leaves(document.data, ()):
        if path in read or (isinstance(value, list) and any((*path, i) in read for i in range(len(value)))):
            continue
        kind, decides = judged(path, value)
        if kind and not any(fnmatchcase(dotted(path), pattern) for pattern in patterns):
            unread.append(Leftover(path, value, kind, decides))
    return unread


def judged(path: Path, value: Any) -> tuple[str, bool]:
    """What a value looks like by the words of its key, and whether the answer could depend on it; ("", False) for nothing."""
    key, around = _key_and_words_around(path)
    own = words(key)
    if isinstance(value, str) and parse_number(value.strip()) is None:
        return ("optimizer", True) if value.strip() and _names_an_optimizer(path, own) else ("", False)
    expression = isinstance(value, Unread)
    if expression and _names_an_optimizer(path, own):
        return "optimizer", True
    if not expression and not _is_number(value):
        return "", False
    amount = value if expression or isinstance(value, list) else parse_number(value.strip()) if isinstance(value, str) else value
    if _accumulates(own):
        return ("gradient accumulation", amount != 1) if amount else ("", False)
    if own == {"b"} and len(path) == 1:  # train.py -b 256
        return "batch size", True
    if own & {"batch", "bs", "batchsize", "minibatch", "microbatch", "batches"} and not own & NO_BATCH:
        size = own <= BATCH_WORDS and not around & NO_BATCH
        return ("batch size", size) if amount else ("", False)
    if own & STEP_WORDS and not own & NO_STEPS:
        counts = isinstance(amount, int) and amount > 1
        return ("number of steps", False) if counts else ("", False)
    if "warmup" in own or {"warm", "up"} <= own:
        return ("warm-up", False) if amount else ("", False)
    rate = bool(own & {"lr", "blr", "learningrate", "lrate"}) or {"learning", "rate"} <= own
    if rate and not own & NO_RATE:
        return ("learning rate", own <= RATE_WORDS) if amount else ("", False)
    if own & {"beta", "betas", "rho"} or ("b" in own and own & {"1", "2"} and len(own) <= 3):
        return "beta", False
    if own & {"eps", "epsilon"} and not own & NORM_WORDS:
        return "epsilon", False
    if own & {"momentum", "mom"} and not own & NORM_WORDS:
        return "momentum", False
    if own & {"decay", "wd"}:
        return ("decay", False) if amount else ("", False)
    return ("learning rate", False) if rate and amount else ("", False)


def words(key: str) -> set[str]:
    """The words of a key: adam_beta1 and adamBeta1 are adam, beta and 1."""
    return {word.lower() for word in _WORD.findall(key[:LONGEST_KEY])}


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every value that is no table; a list of numbers is one value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and not (value and all(_is_number(item) for item in value)):
        for i, item in enumerate(value):
            yield from _leaves(item, (*path, i))
    else:
        yield path, value


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_number(item) for item in value)
    if isinstance(value, str):
        return len(value) < LONGEST_KEY and parse_number(value.strip()) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _key_and_words_around(path: Path) -> tuple[str, set[str]]:
    names = [key for key in path if isinstance(key, str)]
    return (names[-1] if names else ""), set().union(*(words(name) for name in names[:-1]))


def _names_an_optimizer(path: Path, own: set[str]) -> bool:
    """True for a key that says which optimizer it is: optim, opt_type, optimizer.name, optimizer._target_."""
    names = [key for key in path if isinstance(key, str)]
    if own & OPTIMIZER_WORDS and not own & NO_TYPE:
        return True
    outer = [name for name in names[:-1] if name not in ("init_args", "params", "config", "kwargs", "value")]
    above = words(outer[-1]) if outer else set()
    return (
        bool(names) and names[-1] in TYPE_KEYS and bool(above & OPTIMIZER_WORDS) and not above & (NO_TYPE - {"config", "args"})
    )


def _accumulates(own: set[str]) -> bool:
    return (
        any(word.startswith("accum") for word in own)
        or ("acc" in own and bool(own & {"grad", "steps", "iter", "iters"}))
        or {"update", "freq"} <= own
    ) and not own & {"eval"}
