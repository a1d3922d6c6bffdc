"""Stored scans → stacks of slices: which axis, in which order, and which of them may be planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from firstscan.domain.arrays import Float, Int
from firstscan.domain.slices import GEOMETRY_NUMBERS, Plane, ScanGeometry

Within = tuple[float, float, str]
Scans = Sequence[ScanGeometry] | Float[np.ndarray, "case 24"]
"""Scans, or their :attr:`firstscan.domain.slices.ScanGeometry.numbers` as a feature table holds them."""
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
"""Planes by the patient's axis they are cut across: x (left), y (posterior), z (superior)."""
ALIKE = 1.1
"""Axes whose spacing is coarser or finer by no more than this factor count as equally coarse."""
FROM_TOP = np.array([1, 1, -1])
"""Whether slices are counted along LPS or against it: from the right, the front and the head."""
_TO_RAS = np.array([-1.0, -1.0, 1.0])
_ORDERS = np.array(list(permutations(range(3))))
_TIES = np.array([[1.0, 1e-4, 3e-4], [2e-4, 1.0, -2e-4], [-3e-4, 1e-4, 1.0]])
"""Parts axes that lie half-way between two of the patient's, by lines in the patient, not by how they are stored."""


@dataclass(frozen=True, eq=False)
class Stacks:
    """The slices of scans, counted from the top: from the head, the front or the right.

    ``axis`` (case,) is the stored axis they are stacked along and ``patient_axis`` the patient's, 0 x, 1 y, 2 z;
    ``turned`` whether the stored order is the other one. ``slices`` is how many there are, ``first`` and ``last`` (from
    the top) which may be planned, none where ``last`` < ``first``. ``start_mm`` and ``step_mm`` place the middle of
    stored slice 0 and the next ones along the patient's axis, in RAS. ``tilt`` is the angle to the plane, in degrees.
    """

    axis: Int[np.ndarray, " case"]
    patient_axis: Int[np.ndarray, " case"]
    turned: np.ndarray
    slices: Int[np.ndarray, " case"]
    first: Int[np.ndarray, " case"]
    last: Int[np.ndarray, " case"]
    spacing_mm: Float[np.ndarray, " case"]
    start_mm: Float[np.ndarray, " case"]
    step_mm: Float[np.ndarray, " case"]
    tilt: Float[np.ndarray, " case"]

    @property
    def room(self) -> Int[np.ndarray, " case"]:
        """How many slices of each scan may be planned."""
        return np.asarray(np.maximum(self.last - self.first + 1, 0))


def stacks_of(scans: Scans, plane: Plane | None, within: Within | None) -> Stacks:
    """Return the stacks of ``scans``, in their order.

    ``plane`` names the plane; None: the one that a scan was acquired in, whose slices are farthest apart. Where axes
    are equally coarse, axial goes before coronal and sagittal. The stored axis nearest to the patient's counts.
    ``within`` (from, to, ``mm`` or ``%``), from the top of the scan, bounds where the middle of a planned slice lies.
    """
    numbers = scans if isinstance(scans, np.ndarray) else np.array([s.numbers for s in scans])
    numbers = numbers.reshape(-1, GEOMETRY_NUMBERS)
    shape, box = numbers[:, :3].astype(np.int64), numbers[:, 18:].astype(np.int64).reshape(-1, 3, 2)
    spacing, cosines, origin = numbers[:, 3:6], numbers[:, 6:15].reshape(-1, 3, 3), numbers[:, 15:18]
    rows = np.arange(len(scans))
    stored = stored_axes(cosines)
    along = np.full(len(scans), PLANES.index(plane)) if plane else _acquired(spacing, stored)
    axis = stored[rows, along]
    n, step = shape[rows, axis], spacing[rows, axis]
    cosine = cosines[rows, along, axis]
    turned = cosine * FROM_TOP[along] < 0
    ends = box[rows, axis]
    first = np.where(turned, n - 1 - ends[:, 1], ends[:, 0])
    last = np.where(turned, n - 1 - ends[:, 0], ends[:, 1])
    if within is not None:
        low, high = _bounds(within, n, step)
        first, last = np.maximum(first, low), np.minimum(last, high)
    middle = (shape - 1) / 2
    middle[rows, axis] = 0
    start = origin[rows, along] + (cosines[rows, along] * middle * spacing).sum(axis=1)
    return Stacks(
        axis=axis,
        patient_axis=along,
        turned=turned,
        slices=n,
        first=first,
        last=last,
        spacing_mm=step,
        start_mm=_TO_RAS[along] * start,
        step_mm=_TO_RAS[along] * cosine * step,
        tilt=np.degrees(np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))),
    )


def stored_axes(cosines: Float[np.ndarray, "case 3 3"]) -> Int[np.ndarray, "case 3"]:
    """Return for each of the patient's axes the stored one that runs along it, as nearly as axes allow.

    Of all ways to pair axes the one with the largest sum of squared cosines: turning or swapping stored axes pairs the
    same lines.
    """
    likeness = cosines * np.einsum("ij,cja->cia", _TIES, cosines)
    worth = np.stack([likeness[:, range(3), order].sum(axis=1) for order in _ORDERS.tolist()], axis=1)
    return np.asarray(_ORDERS[np.argmax(worth, axis=1)])


def _acquired(spacing: Float[np.ndarray, "case 3"], stored: Int[np.ndarray, "case 3"]) -> Int[np.ndarray, " case"]:
    """Return the patient's axis of the slices that are farthest apart; the head's before the back's and the left's."""
    ordered = np.take_along_axis(spacing, stored, axis=1)
    coarse = ordered * ALIKE >= ordered.max(axis=1, keepdims=True)
    return np.asarray(2 - np.argmax(coarse[:, ::-1], axis=1))


def _bounds(
    within: Within, n: Int[np.ndarray, " case"], spacing: Float[np.ndarray, " case"]
) -> tuple[Int[np.ndarray, " case"], Int[np.ndarray, " case"]]:
    """Return the first and the last slice whose middle lies within the range, both ends included."""
    low, high, unit = within
    step = spacing if unit == "mm" else 100.0 / n
    nearly = 1e-9 * max(abs(high), 1.0)
    first = np.ceil((low - nearly) / step - 0.5)
    last = np.floor((high + nearly) / step - 0.5)
    return first.astype(np.int64), np.minimum(last, n).astype(np.int64)
