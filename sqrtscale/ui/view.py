"""How a user looks at the curves of a calibration, and the same as an address says it. No Streamlit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

BANDS = ("min to max", "± std", "none")
BAND_TEXTS = dict(zip(BANDS, ("extent", "std", "none"), strict=True))  # as an address has them
KEYS = ("metric", "band", "seeds", "log", "x", "range")  # of an address


@dataclass(frozen=True)
class View:
    """The choices of a chart; whole_range: of the y axis, also where an arm diverged."""

    metric: str
    band: str = BANDS[0]
    seeds: bool = False
    log_x: bool = False
    log_y: bool = False
    steps: bool = False
    whole_range: bool = False


def read(texts: Mapping[str, str], metrics: Collection[str], judged: str) -> View:
    """The view that an address asks for; a text that is not one of the known ones asks for nothing.

    metrics: those of the task; judged: the one that a result opens with.
    """
    bands = {text: band for band, text in BAND_TEXTS.items()}
    log = texts.get("log")
    metric = texts.get("metric", judged)
    return View(metric if metric in metrics else judged, bands.get(texts.get("band", ""), BANDS[0]),
                seeds=texts.get("seeds") == "1", log_x=log in ("x", "xy"), log_y=log in ("y", "xy"),
                steps=texts.get("x") == "steps", whole_range=texts.get("range") == "whole")


def texts_of(view: View, judged: str) -> dict[str, str]:
    """What an address has to say for :func:`read` to give the view; nothing for a default."""
    texts = {"metric": view.metric if view.metric != judged else "",
             "band": BAND_TEXTS[view.band] if view.band != BANDS[0] else "",
             "seeds": "1" * view.seeds, "log": "x" * view.log_x + "y" * view.log_y, "x": "steps" * view.steps,
             "range": "whole" * view.whole_range}
    return {key: text for key, text in texts.items() if text}


def carried(address: Mapping[str, str]) -> dict[str, str]:
    """Those texts of an address that speak of the view."""
    return {key: address[key] for key in KEYS if key in address}
