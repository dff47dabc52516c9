"""A LightningModule and its DataModule: ``lightning:FILE.py --module CLASS --data CLASS``. No Trainer is made."""

from __future__ import annotations

from .task import Lightning
from .writing import ADAPTER

__all__ = ["ADAPTER", "Lightning"]
