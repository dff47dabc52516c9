"""What an experiment says, as plain frozen data that can be stored: ``as_dict`` and ``from_dict`` go to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .experiment import Experiment
from .statistics import CLEAR, NORMAL, Interval


@dataclass(frozen=True)
class Level:
    """The weak error of one test function at one step size, at the end of the time: E phi(discrete) - E phi(SDE).

    one_minus_beta2: the place on the axis, None for signSGD; kappa: batch over the base's there; is_clear: whether the error
    stands out of its noise.
    """

    h: float
    one_minus_beta2: float | None
    kappa: float
    test_function: str
    error: float
    standard_error: float
    is_clear: bool


@dataclass(frozen=True)
class Slope:
    """d log|error| / d log(1 - beta2) with its 95 % interval."""

    slope: float
    low: float
    high: float


@dataclass(frozen=True)
class Intercept:
    """C0 in C0 + C1 h^p + C2 h^(2p), p the expected slope: the error that stays as the batch goes to 0; refuted: it is not 0."""

    c0: float
    low: float
    high: float
    refuted: bool


@dataclass(frozen=True)
class Prediction:
    """The SDE's error at one batch size: at the base's own (kappa 1) or the target's.

    share: of the change of E phi over the time, None where there is none; beyond: whether it is read off past the steps that were
    measured.
    """

    test_function: str
    kappa: float
    one_minus_beta2: float | None
    error: float
    low: float
    high: float
    share: float | None
    beyond: bool

    @property
    def is_clear(self) -> bool:
        """Whether the error stands out of its noise, as that of a level."""
        return abs(self.error) > CLEAR / NORMAL * (self.high - self.error)

    @property
    def size(self) -> float:
        """Of the error where it is clear, else the largest that its interval allows."""
        return abs(self.error) if self.is_clear else max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Course:
    """E phi over time, of the SDE (h None) or of one level."""

    test_function: str
    h: float | None
    times: tuple[float, ...]
    values: tuple[float, ...]
    standard_errors: tuple[float, ...]


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of x over time, of the SDE (h None) or of one level: values[i] belongs to probabilities[i]."""

    h: float | None
    times: tuple[float, ...]
    probabilities: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Path:
    """x of one chain over time; all paths of one ``number`` go along one Brownian motion. h None: the SDE."""

    number: int
    h: float | None
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class WeakError:
    """The outcome of an experiment.

    levels: smallest step first, test function by test function. slopes: None where a level is lost in its noise or the error's
    sign changes. needed: of those lost in noise under the right rule, how many chains would do (None: the constant may be 0 and
    no number would). constants: C1 in C1 h^p, p the expected slope. exact: without chance, so that standard errors are 0.
    """

    experiment: Experiment
    levels: tuple[Level, ...]
    slopes: Mapping[str, Slope | None]
    needed: Mapping[str, int | None]
    intercepts: Mapping[str, Intercept]
    constants: Mapping[str, Interval]
    predictions: tuple[Prediction, ...]
    courses: tuple[Course, ...]
    quantiles: tuple[Quantiles, ...]
    paths: tuple[Path, ...]
    exact: bool

    @property
    def predicted_slope(self) -> float | None:
        """What theory says the slopes are."""
        return self.experiment.predicted_slope

    @property
    def limit(self) -> str:
        """What the algorithm is compared with: its SDE, or under infinite variance a limit driven by jumps."""
        return "limit" if self.experiment.parts[2].is_stable else "SDE"

    @property
    def test_functions(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.slopes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the experiment's settings on top, then what was measured."""
        measured = {name: value for name, value in asdict(self).items() if name != "experiment"}
        return asdict(self.experiment) | {"predicted_slope": self.predicted_slope} | measured

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> WeakError:
        """What ``as_dict`` gave, also after JSON."""
        settings = {name: stored[name] for name in Experiment.__dataclass_fields__}
        return cls(
            experiment=Experiment(**settings | {"betas": tuple(settings["betas"])}),
            levels=_all(Level, stored["levels"]),
            slopes={name: Slope(**of) if of else None for name, of in stored["slopes"].items()},
            needed=dict(stored["needed"]),
            intercepts={name: Intercept(**of) for name, of in stored["intercepts"].items()},
            constants={name: Interval(**of) for name, of in stored["constants"].items()},
            predictions=_all(Prediction, stored["predictions"]),
            courses=_all(Course, stored["courses"]),
            quantiles=_all(Quantiles, stored["quantiles"]),
            paths=_all(Path, stored["paths"]),
            exact=stored["exact"])


def _all(kind: Any, rows: Any) -> tuple[Any, ...]:
    return tuple(kind(**{name: _tuples(value) for name, value in row.items()}) for row in rows)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value
