"""What a meter has measured: one line for each step, the noise scale over all of them, and a file of the lines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from ._estimate import Estimate, ratio, signal_and_noise


class Measurements:
    """Lines of signal and noise over samples seen. ``NoiseMeter`` says what the arguments are."""

    def __init__(self, micro_batch: int, *, every: int = 10, averaged: bool = True, clip_norm: float | None = None,
                 path: str | Path | None = None):
        if micro_batch < 1 or every < 1 or not (clip_norm is None or clip_norm > 0):
            raise ValueError(f"micro_batch = {micro_batch}, every = {every} and clip_norm = {clip_norm} must be above 0")
        self.micro_batch, self.every, self.averaged, self.clip_norm = micro_batch, every, averaged, clip_norm
        self.path = None if path is None else Path(path)
        self.measurements: list[dict[str, float]] = []
        self.samples = 0
        self._steps = 0
        self._listeners: list[Callable[[], object]] = []

    @property
    def due(self) -> bool:
        """Whether the step that is being made is one to measure."""
        return self._steps % self.every == 0

    def passed(self, samples: int) -> None:
        """Count an optimizer step of so many samples."""
        self._steps += 1
        self.samples += samples

    def record(self, small: tuple[float, float], large: tuple[float, float], *,
               preconditioned: tuple[float, float] | None = None, second_moment: float | None = None) -> None:
        """Note one measurement: (batch in samples, squared norm of the mean gradient over it) of a smaller and a larger batch.

        For example of two batch sizes in turn. preconditioned: both squared norms with each coordinate divided by
        sqrt(v_hat) + eps; second_moment: mean of v_hat. Raises ValueError where the batches do not rise.
        """
        signal, noise = signal_and_noise(small, large)
        line = {"samples": float(self.samples), "signal": signal, "noise": noise}
        if preconditioned is not None:
            line["signal_pre"], line["noise_pre"] = signal_and_noise((small[0], preconditioned[0]), (large[0], preconditioned[1]))
        if second_moment is not None:
            line["second_moment"] = second_moment
        if self.clip_norm is not None:
            line["clipped"] = float(math.sqrt(large[1]) > self.clip_norm)
        if not all(map(math.isfinite, line.values())):  # a step that overflowed says nothing
            return
        self.measurements.append(line)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def noise_scale(self, preconditioned: bool = False) -> Estimate:
        """tr(Sigma) / |G|^2 in samples over all measurements; raises ValueError before the first one."""
        suffix = "_pre" if preconditioned else ""
        lines = [line for line in self.measurements if f"noise{suffix}" in line]
        return ratio([line[f"noise{suffix}"] for line in lines], [line[f"signal{suffix}"] for line in lines])

    def largest_kappa(self, batch: int) -> float:
        """How many times larger than ``batch`` a batch may be until it reaches the noise scale's lower bound."""
        return self.noise_scale().low / batch

    @property
    def clipped(self) -> float | None:
        """Share of the measured steps that are clipped; None without a clip_norm or a measurement."""
        shares = [line["clipped"] for line in self.measurements if "clipped" in line]
        return sum(shares) / len(shares) if shares else None
