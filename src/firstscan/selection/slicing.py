"""Which slices of the picks to annotate: evenly spaced in each scan, staggered from scan to scan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import get_args

import numpy as np

from firstscan.domain.errors import UsageError
from firstscan.domain.slices import Plane, PlannedSlices, ScanGeometry, SlicePlan

EVERY = 4
"""The spacing where only a number of slices was asked for."""
_UNIQUE = 1.1
"""How much coarser than both others an axis has to be to count as the one that the scan was acquired in."""
_PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
"""Planes by the canonical axis they are cut across: x (left), y (posterior), z (superior)."""
_FROM_TOP = (1, 1, -1)
"""Whether slices are counted along LPS or against it: from the right, the front and the head."""
_TO_RAS = (-1.0, -1.0, 1.0)


@dataclass(frozen=True)
class Slicing:
    """How a plan is laid: ``every`` so manyth slice, at least ``least`` of a scan.

    ``plane`` overrules the one the scan was acquired in. ``within`` (from, to, unit) is where the target lies, counted
    from the top of the scan, in ``mm`` or as a percentage of it (``%``).
    """

    every: int = EVERY
    least: int = 1
    plane: Plane | None = None
    within: tuple[float, float, str] | None = None

    def __post_init__(self) -> None:
        """Raise UsageError where a number is out of range."""
        if self.every < 1:
            raise UsageError(f"--every {self.every}: every 1st slice, or fewer (2, 4, …)")
        if self.least < 1:
            raise UsageError(f"--least {self.least}: at least 1 slice of a scan has to be annotated")


def read_range(text: str) -> tuple[float, float, str]:
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


def plan_slices(scans: Sequence[ScanGeometry], slicing: Slicing, *, first_rank: int = 1) -> SlicePlan:
    """Return the slices to annotate of ``scans``, in rank order from ``first_rank``.

    In each scan every ``every``-th slice of the patient, from an offset that goes through all of them from scan to scan
    (van der Corput's sequence): over the batch, positions along the body are covered evenly. Slices are counted in the
    patient, from the head, the front or the right, so that the plan is the same however the scan is stored.

    Raises
    ------
    UsageError : a scan that has too few slices for ``least``, or none in the range; the message names scans.
    """
    planned = [_of_scan(scan, slicing, first_rank + i) for i, scan in enumerate(scans)]
    return SlicePlan(tuple(planned), slicing.every)


def within_budget(plan: SlicePlan, slices: int, slicing: Slicing) -> SlicePlan:
    """Return the plan cut down to at most ``slices``: the last scans lose slices evenly, then drop out."""
    kept: list[PlannedSlices] = []
    left = slices
    for case in plan:
        if left < min(slicing.least, len(case)):
            break
        if len(case) > left:
            at = _spread(len(case), left)
            case = PlannedSlices(  # noqa: PLW2901
                case.case_id,
                case.rank,
                case.axis,
                case.plane,
                case.slices,
                tuple(case.indices[i] for i in at),
                tuple(case.positions_mm[i] for i in at),
                f"{left} slices spread over the patient: what is left of the {slices}",
            )
        kept.append(case)
        left -= len(case)
    return SlicePlan(tuple(kept), plan.every, plan.settings)


def scans_for(slices: int, scans: Sequence[ScanGeometry], slicing: Slicing) -> int:
    """Return how many scans a budget of ``slices`` is spread over, by the mean number planned in a scan of the pool.

    Raises
    ------
    UsageError : more slices than the pool has.
    """
    counts = slice_counts(scans, slicing)
    if slices > counts.sum():
        all_of_them = f"every {_ordinal(slicing.every)} slice of all {len(scans)} scans are {int(counts.sum())}"
        raise UsageError(f"--slices {slices}: {all_of_them}. Ask for fewer, or for a smaller --every")
    return max(1, min(len(scans), round(slices / float(counts.mean()))))


def slice_counts(scans: Sequence[ScanGeometry], slicing: Slicing) -> np.ndarray:
    """Return how many slices of each scan a plan holds on average, (case,), at least ``least``."""
    lengths = [len(_range_of(scan, *_stacked(scan, slicing.plane)[:1], slicing)) for scan in scans]
    return np.maximum(np.array(lengths) / slicing.every, slicing.least)


MINUTES_PER_SCAN, MINUTES_PER_SLICE = 5.0, 1.5
"""What annotating is taken to cost where nobody says otherwise: minutes for opening and understanding a scan, and for a
slice. Assumptions, to be replaced by one's own (docs/slices.md); isolated slices take longer than neighbouring ones."""


def minutes_of(
    scans: int, slices: int, *, per_scan: float = MINUTES_PER_SCAN, per_slice: float = MINUTES_PER_SLICE
) -> float:
    """Return the minutes that annotating ``slices`` of ``scans`` takes."""
    return scans * per_scan + slices * per_slice


def located(plane: Plane, positions_mm: Sequence[float], scan: ScanGeometry) -> tuple[int, tuple[int, ...]]:
    """Return the stored axis and the indices of planned slices in ``scan``, however it is stored by now.

    Raises
    ------
    UsageError : a position that no slice of the scan lies at, to half a slice.
    """
    axis, canonical, _ = _stacked(scan, plane)
    places = np.array(_positions(scan, axis, canonical, range(scan.shape[axis])))
    found = []
    for position in positions_mm:
        index = int(np.abs(places - position).argmin())
        if abs(places[index] - position) > scan.spacing_mm[axis] / 2:
            raise UsageError(f"{scan.case_id}: no {plane} slice lies at {position:g} mm; is it the scan of the plan?")
        found.append(index)
    return axis, tuple(sorted(found))


def _of_scan(scan: ScanGeometry, slicing: Slicing, rank: int) -> PlannedSlices:
    axis, canonical, sign = _stacked(scan, slicing.plane)
    rows = _range_of(scan, axis, slicing)
    start = _offsets(slicing.every)[(rank - 1) % slicing.every]
    kept = rows[start :: slicing.every]
    if len(kept) < slicing.least:
        if len(rows) < slicing.least:
            raise UsageError(
                f"{scan.case_id}: {len(rows)} slice(s) lie where slices are planned, --least asks for {slicing.least}. "
                "Ask for fewer, widen --range, or exclude the scan"
            )
        kept = [rows[i] for i in _spread(len(rows), slicing.least)]
    n = scan.shape[axis]
    stored = sorted(i if sign * _FROM_TOP[canonical] > 0 else n - 1 - i for i in kept)
    inside = "in the range" if slicing.within else "of the patient"
    every = "every slice" if slicing.every == 1 else f"every {_ordinal(slicing.every)} slice"
    start_at = f", from the {_ordinal(start + 1)}" if slicing.every > 1 else ""
    return PlannedSlices(
        scan.case_id,
        rank,
        axis,
        _PLANES[canonical],
        n,
        tuple(stored),
        _positions(scan, axis, canonical, stored),
        f"{every} {inside}{start_at}: {len(stored)} of {len(rows)}",
    )


def _stacked(scan: ScanGeometry, plane: Plane | None) -> tuple[int, int, int]:
    """Return (stored axis, canonical axis, sign) of the slices: the axis asked for, the acquired one, or axial."""
    canonical = _canonical_axes(scan.direction)
    if plane is not None:
        axis = next(a for a in range(3) if _PLANES[canonical[a][0]] == plane)
    else:
        coarse = max(range(3), key=scan.spacing_mm.__getitem__)
        next_to = max(s for a, s in enumerate(scan.spacing_mm) if a != coarse)
        acquired = scan.spacing_mm[coarse] > _UNIQUE * next_to and scan.shape[coarse] > 1
        axis = coarse if acquired else next(a for a in range(3) if canonical[a][0] == 2)
    return axis, *canonical[axis]


@cache
def _canonical_axes(direction: tuple[float, ...]) -> list[tuple[int, int]]:
    """Return for each stored axis the patient's axis it runs along, as nearly as axes allow, and in which direction."""
    cosines = np.reshape(direction, (3, 3))
    found: dict[int, int] = {}
    left = np.abs(cosines)
    for _ in range(3):
        row, axis = np.unravel_index(int(np.argmax(left)), left.shape)
        found[int(axis)] = int(row)
        left[row, :] = left[:, axis] = -1.0
    return [(found[a], 1 if cosines[found[a], a] >= 0 else -1) for a in range(3)]


def _range_of(scan: ScanGeometry, axis: int, slicing: Slicing) -> list[int]:
    """Return the slices that may be planned, counted from the top of the scan."""
    canonical, sign = _canonical_axes(scan.direction)[axis]
    n, (first, last) = scan.shape[axis], scan.patient[axis]
    if sign * _FROM_TOP[canonical] < 0:
        first, last = n - 1 - last, n - 1 - first
    rows = list(range(first, last + 1))
    if slicing.within is None:
        return rows
    low, high, unit = slicing.within
    step = scan.spacing_mm[axis] if unit == "mm" else 100.0 / n
    chosen = [i for i in rows if low <= (i + 0.5) * step <= high]
    if not chosen:
        size = f"{n * scan.spacing_mm[axis]:.0f} mm" if unit == "mm" else "100 %"
        raise UsageError(
            f"{scan.case_id}: no slice of the patient lies {low:g} to {high:g} {unit} from the top of the scan, which "
            f"is {size} long in {n} slices; correct --range, or exclude the scan"
        )
    return chosen


def _positions(scan: ScanGeometry, axis: int, canonical: int, indices: Sequence[int]) -> tuple[float, ...]:
    """Return where the middles of slices lie along the patient's axis, in RAS mm."""
    along = [scan.direction[3 * canonical + a] * scan.spacing_mm[a] for a in range(3)]
    middle = sum(along[a] * (scan.shape[a] - 1) / 2 for a in range(3) if a != axis)
    start, sign = scan.origin_mm[canonical] + middle, _TO_RAS[canonical]
    return tuple(round(sign * (start + along[axis] * i), 4) for i in indices)


def _spread(n: int, wanted: int) -> list[int]:
    """Return ``wanted`` of ``n`` places, evenly spread, the ends as far from the edges as half a step."""
    return [int((i + 0.5) * n / wanted) for i in range(wanted)]


@cache
def _offsets(every: int) -> tuple[int, ...]:
    """Return 0 … ``every`` − 1, each once, such that the first few are spread as well as all of them."""
    places = [_van_der_corput(i) for i in range(every)]
    order = sorted(range(every), key=places.__getitem__)
    return tuple(order.index(i) for i in range(every))


def _van_der_corput(n: int) -> float:
    value, share = 0.0, 0.5
    while n:
        n, bit = divmod(n, 2)
        value, share = value + bit * share, share / 2
    return value


def _ordinal(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
