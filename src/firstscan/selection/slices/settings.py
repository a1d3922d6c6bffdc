"""How slices are planned: the settings, as a person writes them and as a plan keeps them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from firstscan.domain.errors import UsageError
from firstscan.domain.slices import Plane, SlicePlan

from .stacks import Within

EVERY = 4
"""The spacing where only a number of slices was asked for."""


@dataclass(frozen=True)
class Slicing:
    """How a plan is laid: every ``every``-th slice, at least ``least`` of a scan.

    ``plane`` overrules the one that a scan was acquired in. ``within`` (from, to, unit) is where the target lies,
    counted from the top of the scan, in ``mm`` or as a percentage of it (``%``).
    """

    every: int = EVERY
    least: int = 1
    plane: Plane | None = None
    within: Within | None = None

    def __post_init__(self) -> None:
        """Raise UsageError where a number is out of range."""
        if self.every < 1:
            raise UsageError(f"--every {self.every}: 1 plans all slices, 4 every 4th; it has to be at least 1")
        if self.least < 1:
            raise UsageError(f"--least {self.least}: at least 1 slice of a scan has to be annotated")

    @property
    def plain(self) -> dict[str, Any]:
        """The settings as plain data, for :attr:`firstscan.domain.slices.SlicePlan.settings`."""
        return asdict(self)


def read_range(text: str) -> Within:
    """Return (from, to, unit) of ``20:80`` (mm from the top of the scan) or ``25%:75%``.

    Raises
    ------
    UsageError : it is not of that form, or empty.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|mm)?\s*:\s*(\d+(?:\.\d+)?)\s*(%|mm)?\s*", text)
    units = {u or "mm" for u in (found[2], found[4])} if found else set()
    if found and found[2] is None and found[4] is not None:
        units = {found[4]}
    if found is None or len(units) != 1 or not float(found[1]) < float(found[3]):
        raise UsageError(
            f"--range {text}: write FROM:TO, in mm from the top of the scan (20:80) or in percent of it (25%:75%)"
        )
    unit = units.pop()
    if unit == "%" and float(found[3]) > 100:
        raise UsageError(f"--range {text}: a percentage ends at 100")
    return float(found[1]), float(found[3]), unit


def read_plane(text: str) -> Plane:
    """Return a plane by its name.  Raises UsageError listing the names."""
    found = next((p for p in get_args(Plane) if p == text), None)
    if found is None:
        raise UsageError(f"--slice-axis {text}: choose axial, coronal or sagittal")
    return found  # type: ignore[no-any-return]


def slicing_of(plan: SlicePlan) -> Slicing:
    """Return how a plan was laid."""
    told: Mapping[str, Any] = plan.settings
    within = told.get("within")
    return Slicing(
        every=int(told.get("every", plan.every)),
        least=int(told.get("least", 1)),
        plane=told.get("plane"),
        within=None if within is None else (float(within[0]), float(within[1]), str(within[2])),
    )
