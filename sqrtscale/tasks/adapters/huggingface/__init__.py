"""A folder with a model of transformers and a folder of data: ``hf:MODEL_FOLDER --data FOLDER --kind causal``.

Everything is read from these folders: nothing is asked of a hub, and no code that lies in them is run.
"""

from __future__ import annotations

from .paper import MLM, SST2
from .task import HuggingFace
from .writing import ADAPTER

__all__ = ["ADAPTER", "MLM", "SST2", "HuggingFace"]
