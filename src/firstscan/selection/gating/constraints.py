"""What the user asks of a batch besides its size."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from firstscan.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class Quota:
    """At least ``minimum`` and at most ``maximum`` annotated scans whose ``column`` equals ``group``.

    The group ``*`` stands for every group of the column that has no quota of its own.
    """

    column: str
    group: str
    minimum: int = 0
    maximum: int | None = None

    def __post_init__(self) -> None:
        if self.minimum < 0 or (self.maximum is not None and self.maximum < self.minimum):
            bounds = f"at least {self.minimum} and at most {self.maximum}"
            raise UsageError(f"quota on {self.column}={self.group}: {bounds} cannot both hold")


@dataclass(frozen=True)
class Constraints:
    """Conditions that hold for every strategy in the same way.

    Columns are covariates of the feature table; a case whose value is missing belongs to no group.

    Parameters
    ----------
    exclude : ids left out as if they were not in the pool.
    include : ids that are picked first, whatever the strategy.
    labelled : ids annotated already: never picked, counted as covered, in α, in groups and in quotas.
    group_by : columns (patient, near-duplicate group, …) of which each value may be annotated once at most.
    quotas : minimum and maximum per group of any column.
    cost_column : column with the annotation time of each case in minutes, above 0.
    minutes : annotation time that the batch may take in all; needs ``cost_column``.
    """

    exclude: Collection[str] = ()
    include: Collection[str] = ()
    labelled: Collection[str] = ()
    group_by: tuple[str, ...] = ()
    quotas: tuple[Quota, ...] = ()
    cost_column: str | None = None
    minutes: float | int | None = None

    def __post_init__(self) -> None:
        for a, b in (("include", "exclude"), ("include", "labelled"), ("labelled", "exclude")):
            both = sorted(set(getattr(self, a)) & set(getattr(self, b)))
            if both:
                raise UsageError(f"{', '.join(both[:5])}: named in {a} and in {b}; a case can be in one of them only")
        if self.minutes is not None and math.isnan(self.minutes):
            raise UsageError("a budget in minutes must be a number; found NaN")
        if (self.minutes is None) != (self.cost_column is None):
            raise UsageError(
                "a budget in minutes needs both minutes and the cost column that gives each case's minutes"
            )
