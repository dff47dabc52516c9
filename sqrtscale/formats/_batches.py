"""The batch of a file in its parts: what the file says in total stands, and what is missing is solved from it.

global batch = per_device x accumulation x devices
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..rules import FieldError
from ..rules.batch import MOST_DEVICES, Batch
from ..rules.errors import whole

BATCH_PARTS = ("per_device", "accumulation", "devices")
PRODUCTS = {"forward_batch": "accumulation", "passes": "per_device"}  # of two parts, named in a file -> the third
LIMITS = {"per_device": (32, 10**12), "accumulation": (4, 10**6), "devices": (8, MOST_DEVICES)}


@dataclass(frozen=True)
class BatchParts:
    """The batch as far as it is known; None for what is not.

    per_device: of one forward pass; accumulation: passes before a step; devices: data-parallel replicas; total: of one
    optimizer step; derived: the one of these that was worked out from the others, and gives way to what a user says.
    """

    per_device: int | None = None
    accumulation: int | None = None
    devices: int | None = None
    total: int | None = None
    derived: str = field(default="", compare=False)

    @property
    def unknown(self) -> list[str]:
        """The names of the parts that are not known."""
        return [name for name in BATCH_PARTS if getattr(self, name) is None]

    @property
    def product(self) -> int:
        """The product of the parts that are known."""
        product = 1
        for name in BATCH_PARTS:
            product *= getattr(self, name) or 1
        return product

    @property
    def products(self) -> dict[str, int]:
        """The total without one part, by the names that files have for such a rest."""
        thirds = {name: getattr(self, part) for name, part in PRODUCTS.items()}
        return {name: self.total // part for name, part in thirds.items() if self.total and part and not self.total % part}

    @property
    def batch(self) -> Batch | None:
        """The parts together, where all are known and make up the total."""
        if self.per_device is None or self.accumulation is None or self.devices is None or self.product != self.total:
            return None
        return Batch(self.per_device, self.accumulation, self.devices)

    def solved(self, label: str = "global batch") -> BatchParts:
        """The same with the one unknown part, or the total, worked out.

        label: what the file calls the total. Raises FieldError where the parts contradict it.
        """
        unknown = self.unknown
        if self.total is None:
            return self if unknown else replace(self, total=self.product, derived="total")
        quotient, rest = divmod(self.total, self.product)
        if rest or not quotient or (not unknown and quotient != 1):
            known = " x ".join(f"{name} {getattr(self, name)}" for name in BATCH_PARTS if name not in unknown)
            raise FieldError(
                label,
                self.total,
                f"contradicts {known}{'' if len(unknown) == 2 else f' = {self.product}'}: correct one of them",
            )
        return replace(self, **{unknown[0]: quotient}, derived=unknown[0]) if len(unknown) == 1 else self

    def corrected(self, answers: Mapping[str, Any]) -> BatchParts:
        """The same with what a user said in place of what was read, solved. A batch size that is given stands.

        Raises FieldError for an answer that is no count, and where the answers contradict the file's total.
        """
        given: dict[str, Any] = {
            name: whole(name, answers[name], 1, *LIMITS[name]) for name in BATCH_PARTS if answers.get(name) is not None
        }
        read = replace(self, **{self.derived: None}, derived="") if self.derived else self
        if answers.get("batch_size") is None:
            return replace(read, **given).solved()
        total = whole("batch_size", answers["batch_size"], 1, 256, 10**12)
        kept = replace(read, **{**given, "total": total})
        try:
            return kept.solved()
        except FieldError:  # the file's parts are of another batch
            return replace(BatchParts(**given), total=total).solved()
