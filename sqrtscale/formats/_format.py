"""What a format is, and by which keys of its own it is recognised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ._document import Document, Path
from ._reading import Reading

CONFIGURATION = ("json", "yaml", "toml", "command")


@dataclass(frozen=True)
class Signature:
    """The keys of its own by which a format is recognised: never one that other programs have as well.

    own: dotted paths, of which at least ``least`` must be there; needs: paths that must all be there; never: paths of
    other programs, none of which may be there; scripts: how the names of the program's scripts and modules end, by which a
    command that starts one is recognised alone. Called with a document, it returns the keys that speak for the format, and
    nothing where that is not enough.
    """

    own: tuple[str, ...]
    least: int = 2
    needs: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    def __call__(self, document: Document) -> tuple[str, ...]:
        if str(document.get(("launcher", "script"))).endswith(self.scripts):
            return ("launcher.script",)
        if any(document.has(path_of(name)) for name in self.never):
            return ()
        if not all(document.has(path_of(name)) for name in self.needs):
            return ()
        seen = tuple(name for name in (*self.needs, *self.own) if document.has(path_of(name)))
        return seen if len(seen) - len(self.needs) >= self.least else ()


@dataclass(frozen=True)
class Format:
    """A format: its key and human name, the syntaxes it is written in, how it is recognised, and how it is read.

    fits: the keys of a document that speak for this format, empty where it is another; over: keys of more general formats
    that stand back where this one fits as well; irrelevant: dotted names (``*`` for anything) that look like
    hyperparameters and leave the transfer alone; patchable: False for a record that no program reads back.
    """

    key: str
    label: str
    syntaxes: tuple[str, ...]
    fits: Callable[[Document], tuple[str, ...]]
    read: Callable[[Document], Reading]
    over: tuple[str, ...] = ()
    irrelevant: tuple[str, ...] = ()
    patchable: bool = True


def path_of(dotted: str) -> Path:
    """A path from its dotted form: "optimizer.betas.0" is ("optimizer", "betas", 0)."""
    return tuple(int(key) if key.isdecimal() else key for key in dotted.split("."))
