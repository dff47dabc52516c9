"""Tasks made of data, without code of the user's: ``sqrtscale tasks add images:FOLDER``. Importing this loads no torch.

To add one: a file in this folder that defines ADAPTER, and its line below.
"""

from __future__ import annotations

from .adapter import Adapter
from .cifar10 import ADAPTER as _cifar10
from .huggingface import ADAPTER as _huggingface
from .huggingface import MLM as _mlm
from .huggingface import SST2 as _sst2
from .images import ADAPTER as _images
from .lightning import ADAPTER as _lightning
from .table import ADAPTER as _table
from .text import ADAPTER as _text
from .wikitext import ADAPTER as _wikitext

ADAPTERS: dict[str, Adapter] = {adapter.kind: adapter for adapter in (
    _images, _text, _table, _huggingface, _lightning, _cifar10, _wikitext, _sst2, _mlm)}


def adapter_of(source: str) -> tuple[Adapter, str] | None:
    """The adapter and the place of ``KIND:PLACE``; None for anything else, as the path of a file."""
    kind, colon, place = source.partition(":")
    return (ADAPTERS[kind], place) if colon and kind in ADAPTERS else None


__all__ = ["ADAPTERS", "Adapter", "adapter_of"]
