"""Stored calibrations as files that others can read: CSV of the curves, JSON of everything."""

from __future__ import annotations

import json
from typing import Any

from .records import Record
from .store import Store
from .text import as_cells


def curves_csv(store: Store, record: Record) -> str:
    """The curves, one line a point: arm, seed, metric, samples, value (NaN and infinity by name, all digits)."""
    return as_cells(store.curves(record.id)).to_csv(index=False, na_rep="nan", lineterminator="\n")


def everything_json(store: Store, record: Record) -> str:
    """The record and its curves as one JSON object; the plan in it can be run again as it is."""
    curves = [
        {"arm": arm, "seed": group["seed"].tolist()[0], "metric": metric, "samples": group["samples"].tolist(),
         "values": group["value"].tolist()}
        for (arm, _, metric), group in store.curves(record.id).groupby(["arm", "seed", "metric"], sort=False)]
    return json.dumps(record_json(store, record) | {"curves": json_value(curves)}, indent=2, allow_nan=False) + "\n"


FORMATS = {"csv": curves_csv, "json": everything_json}


def record_json(store: Store, record: Record) -> dict[str, Any]:
    """Everything stored about one calibration or imported comparison, its tags too, but its curves, in plain JSON types.

    Each run has ``taken_from``: the calibration that trained it, None where it was trained here.
    """
    taken = store.reused(record.id)
    fields = dict(vars(record)) | {"plan": record.plan.as_dict(), "progress": record.progress,
                                  "tags": store.tags_of(record.id)}
    fields["runs"] = [dict(vars(run)) | {"config": run.config.as_dict() if run.config else {},
                                         "taken_from": taken.get((run.arm, run.seed))} for run in record.runs]
    return {name: json_value(value) for name, value in fields.items()}


def json_value(value: Any) -> Any:
    """``value`` in plain JSON types: times as ISO text, and NaN and infinity, which JSON lacks, by name."""
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return repr(value)
    return value.isoformat() if hasattr(value, "isoformat") else value
