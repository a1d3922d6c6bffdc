"""A plan by slice: which slices of which scans are to be annotated."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .arrays import LabelMap
from .errors import UsageError

Plane = Literal["axial", "coronal", "sagittal"]
IGNORE = "ignore"
"""What nnU-Net calls the label of voxels that nobody annotated; its value is the highest label plus one."""


@dataclass(frozen=True, slots=True)
class PlannedSlices:
    """The slices of one scan to annotate.

    ``axis`` is the stored array axis that they are stacked along (0 = x, 1 = y, 2 = z in the order of the file), and
    ``plane`` the anatomical plane that they show. ``indices`` count from 0 along that axis and increase;
    ``positions_mm`` are their centres along the patient's axis that the plane is cut across, in RAS millimetres (as 3D
    Slicer shows them), one for each index. ``slices`` is how many the scan has. ``reason`` is a plain sentence.
    """

    case_id: str
    rank: int
    axis: int
    plane: Plane
    slices: int
    indices: tuple[int, ...]
    positions_mm: tuple[float, ...]
    reason: str = ""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The slices as viewers that count from 1 (ITK-SNAP) number them."""
        return tuple(i + 1 for i in self.indices)


@dataclass(frozen=True)
class SlicePlan:
    """The slices of a whole batch, scans in rank order.

    ``every`` is the spacing that was asked for or found: every ``every``-th slice of the planned range.
    """

    cases: tuple[PlannedSlices, ...]
    every: int
    settings: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many slices there are to annotate."""
        return sum(len(case) for case in self.cases)

    def __iter__(self) -> Iterator[PlannedSlices]:
        return iter(self.cases)

    def only(self, case_ids: Collection[str]) -> SlicePlan:
        """Return the plan of the scans in ``case_ids``, in the same order."""
        wanted = frozenset(case_ids)
        return SlicePlan(tuple(case for case in self.cases if case.case_id in wanted), self.every, self.settings)

    def of(self, case_id: str) -> PlannedSlices | None:
        """Return the slices of one scan, None where the plan does not hold it."""
        return next((case for case in self.cases if case.case_id == case_id), None)


@dataclass(frozen=True, slots=True)
class ScanGeometry:
    """How a scan is stored, and where the patient is in it.

    ``shape``, ``spacing_mm``, ``direction`` (3×3 cosines in LPS, a column an axis, rows flattened) and ``origin_mm``
    (LPS) are the file's own, along its stored axes x, y, z. ``patient`` is the first and the last index along each of
    these axes between which the patient lies.
    """

    case_id: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    direction: tuple[float, ...]
    origin_mm: tuple[float, float, float]
    patient: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

    @property
    def numbers(self) -> tuple[float, ...]:
        """All of it but the id as 24 numbers, as feature tables keep it."""
        ends = (float(i) for pair in self.patient for i in pair)
        return (*map(float, self.shape), *self.spacing_mm, *self.direction, *self.origin_mm, *ends)

    @classmethod
    def of(cls, case_id: str, numbers: Sequence[float]) -> ScanGeometry:
        """Return the geometry that :attr:`numbers` stands for."""
        n = [float(v) for v in numbers]
        whole = [int(v) for v in (*n[:3], *n[18:24])]
        return cls(
            case_id,
            (whole[0], whole[1], whole[2]),
            (n[3], n[4], n[5]),
            tuple(n[6:15]),
            (n[15], n[16], n[17]),
            ((whole[3], whole[4]), (whole[5], whole[6]), (whole[7], whole[8])),
        )


GEOMETRY_NUMBERS = 24
"""How many numbers :attr:`ScanGeometry.numbers` are."""


def ignore_value(classes: Mapping[str, int]) -> int:
    """Return the label of voxels that nobody annotated: one above the highest class, as nnU-Net wants it."""
    return max(classes.values(), default=0) + 1


def refuse_class(ignore: int | None, classes: Mapping[str, int], where: str) -> None:
    """Raise UsageError where the value of what nobody annotated is also a class; ``where`` says what holds it."""
    name = next((name for name, value in classes.items() if value == ignore), None)
    if name is not None:
        raise UsageError(
            f"{where} mark with the value {ignore} what nobody annotated, and the class list calls {ignore} {name!r}: "
            "the two cannot be told apart. Give the class list that the label maps were made with, or renumber them so "
            f"that unannotated voxels hold {ignore_value(classes)}"
        )


def outside_ignored(labels: LabelMap, axis: int, indices: tuple[int, ...], ignore: int) -> LabelMap:
    """Return a copy of ``labels`` (x, y, z) that holds ``ignore`` wherever the slice along ``axis`` is not planned."""
    kept = np.zeros(labels.shape[axis], dtype=bool)
    kept[list(indices)] = True
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.where(kept.reshape(shape), labels, np.asarray(ignore, dtype=labels.dtype))
