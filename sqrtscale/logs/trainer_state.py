"""Hugging Face's trainer_state.json: log_history has a row each logging_steps (loss ...), evaluation (eval_loss ...) and end.

Looked up: transformers, src/transformers/trainer.py (_maybe_log_save_evaluate): ``loss`` is the mean over the steps since the
last log; train_loss and the like of the last row are of the whole run. trainer_callback.py (TrainerState): train_batch_size is of
one device.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ._json import listed
from ._series import Names, Reading, Rows

TITLE = "Hugging Face trainer_state.json"
WHOLE_RUN = ("train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")
FACTS = ("train_batch_size", "logging_steps", "eval_steps", "max_steps", "num_train_epochs")


def recognises(path: Path, head: bytes) -> str:
    is_state = head.lstrip().startswith(b"{") and (b'"log_history"' in head or path.name == "trainer_state.json")
    return "the key log_history" if is_state else ""


def read(path: Path, names: Names) -> Reading:
    state, history = listed(path, "log_history", "has no list log_history: give the trainer_state.json of a run")
    rows = Rows(path)
    for row in history:
        rows.add({key: value for key, value in row.items() if key not in WHOLE_RUN})
    facts = {key: str(state[key]) for key in FACTS if isinstance(state.get(key), (int, float)) and state[key]}
    if "train_batch_size" in facts:
        facts["per_device_train_batch_size"] = facts.pop("train_batch_size")
    reading = rows.reading(names, {None: facts})
    every = state.get("logging_steps")
    if not isinstance(every, int) or isinstance(every, bool) or every < 2:
        return reading
    series = [replace(single, window=every) if single.metric == "loss" else single for single in reading.series]
    note = f"loss is the mean over {every} steps each (logging_steps): its noise depends on the batch"
    has_loss = any(single.window for single in series)
    return replace(reading, series=series, notes=(*reading.notes, *([note] if has_loss else [])))
