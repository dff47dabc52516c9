"""A task of the user's own: one file with model(), data(split) and loss(model, batch). Importing this loads no torch.

The file is read here and run nowhere but in a training process: ``reading`` says what can be known without running it.
"""

from __future__ import annotations

from .checkpoint import OF_A_GROUP, Checkpoint, Group, KnownConfiguration
from .errors import OwnTaskError, beside_users_code
from .file import VERSION, Facts, Finding, OwnFile, without_version
from .reading import Source, beside, compared, read_file, read_text
from .registry import add, added, remove
from .task import OwnTask, known, remember

__all__ = ["OF_A_GROUP", "VERSION", "Checkpoint", "Facts", "Finding", "Group", "KnownConfiguration", "OwnFile", "OwnTask",
           "OwnTaskError", "Source", "add", "added", "beside", "beside_users_code", "compared", "known", "read_file", "read_text",
           "remember", "remove", "without_version"]
