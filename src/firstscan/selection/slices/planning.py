"""Which slices of the picks to annotate: evenly spaced in each scan, staggered from scan to scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstscan.domain.arrays import Float, Int
from firstscan.domain.errors import UsageError
from firstscan.domain.slices import Plane, PlannedSlices, ScanGeometry, SlicePlan

from .settings import Slicing
from .stacks import PLANES, Scans, Stacks, stacks_of

TILTED = 10.0
"""Degrees to its plane from which on a stack of slices is called tilted."""
_ROUNDING_MM = 1e-3
_TOP = {"axial": "the head", "coronal": "the front", "sagittal": "the right"}


def plan_slices(scans: Sequence[ScanGeometry], slicing: Slicing, *, ranks: Sequence[int] | None = None) -> SlicePlan:
    """Return the slices to annotate of ``scans``, every ``every``-th of each; their ``ranks`` are 1, 2, … by default.

    The first slice moves on from scan to scan so that any ``every`` scans in a row (from rank 1) begin at all
    ``every`` of them: positions along the body are covered evenly over the batch. Where ``least`` slices of a scan are
    more than that, they lie closer together. Slices are counted in the patient, from the head, the front or the right,
    so that the plan is the same however the scan is stored.

    Raises
    ------
    UsageError : a scan has fewer slices than ``least``, or none in the range; the message names it.
    """
    stacks = _planned_stacks(scans, slicing)
    room = stacks.room
    every = np.minimum(slicing.every, room // slicing.least)
    order, numbered = _in_turn(slicing.every), _ranks(scans, ranks)
    turns = np.array([order[(rank - 1) % slicing.every] for rank in numbered], dtype=np.int64)
    begin = turns * every // slicing.every
    chosen = [range(b, m, k) for b, m, k in zip(begin.tolist(), room.tolist(), every.tolist(), strict=True)]
    said = [_said(_every_words(k), slicing) for k in every.tolist()]
    cases = _cases(scans, stacks, chosen, ranks=numbered, words=said)
    return SlicePlan(cases, slicing.every, slicing.plain)


def share_slices(
    scans: Sequence[ScanGeometry], slices: int, slicing: Slicing, *, ranks: Sequence[int] | None = None
) -> SlicePlan:
    """Return a plan of exactly ``slices`` slices of ``scans``: as many as they have where that is fewer.

    Each gives a number in proportion to what it has, at least ``least``, so that slices are equally far apart in all
    scans, but for rounding; ``every`` of the plan is that distance. The first one is staggered as by
    :func:`plan_slices`.

    Raises
    ------
    UsageError : as :func:`plan_slices`, and where ``slices`` is less than ``least`` a scan.
    """
    if slices < slicing.least * len(scans):
        raise UsageError(
            f"--slices {slices}: {len(scans)} scans with at least {slicing.least} slice(s) each (--least) need "
            f"{slicing.least * len(scans)}. Ask for more slices, or for fewer scans"
        )
    stacks = _planned_stacks(scans, slicing)
    counts, numbered = _shares(stacks.room, slices, slicing.least), _ranks(scans, ranks)
    chosen = []
    for rank, n, m in zip(numbered, counts.tolist(), stacks.room.tolist(), strict=True):
        part, whole = _van_der_corput(rank - 1)
        chosen.append([(t * whole + part) * m // (n * whole) for t in range(n)])
    said = [_said(_shared_words(len(c), m), slicing) for c, m in zip(chosen, stacks.room.tolist(), strict=True)]
    called = max(1, round(int(stacks.room.sum()) / max(int(counts.sum()), 1)))
    cases = _cases(scans, stacks, chosen, ranks=numbered, words=said)
    return SlicePlan(cases, called, {**slicing.plain, "slices": slices})


def scans_for(slices: int, scans: Scans, slicing: Slicing) -> int:
    """Return how many scans a budget of ``slices`` is spread over, by the mean number planned in a scan of the pool.

    Where the pool has too few scans for that, all of them: their slices then lie closer together.

    Raises
    ------
    UsageError : more slices than there are, fewer than ``least``, or no scan that slices can be planned in.
    """
    room = stacks_of(scans, slicing.plane, slicing.within).room
    room = room[room >= slicing.least]
    if slices < slicing.least:
        raise UsageError(f"--slices {slices}: at least {slicing.least} are needed, for one scan (--least)")
    if slices > room.sum():
        where = "in --range " if slicing.within else ""
        raise UsageError(
            f"--slices {slices}: the {len(room)} usable scans have {int(room.sum())} slices {where}in all. "
            "Ask for fewer, or add scans"
        )
    mean = float(np.maximum(room / slicing.every, slicing.least).mean())
    return min(max(1, int(slices / mean + 0.5)), slices // slicing.least, len(room))


def slice_counts(scans: Scans, slicing: Slicing) -> Float[np.ndarray, " case"]:
    """Return how many slices of each scan a plan holds on average, (case,), at least ``least``; 0 where none can be."""
    room = stacks_of(scans, slicing.plane, slicing.within).room
    return np.where(room >= slicing.least, np.maximum(room / slicing.every, slicing.least), 0.0)


def most_slices(scans: Scans, slicing: Slicing) -> Int[np.ndarray, " case"]:
    """Return how many slices of each scan a plan holds at most, (case,), whatever its rank; 0 where none can be."""
    room = stacks_of(scans, slicing.plane, slicing.within).room
    every = np.maximum(np.minimum(slicing.every, room // slicing.least), 1)
    return np.asarray(np.where(room >= slicing.least, -(-room // every), 0))


def unplannable(case_ids: Sequence[str], scans: Scans, slicing: Slicing) -> dict[str, str]:
    """Return by case id why no slices can be planned in a scan: too few of them, or none in the range."""
    return _refused(case_ids, stacks_of(scans, slicing.plane, slicing.within), slicing)


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
    stack = stacks_of([scan], plane, None)
    places = stack.start_mm[0] + stack.step_mm[0] * np.arange(int(stack.slices[0]))
    found = []
    for position in positions_mm:
        index = int(np.abs(places - position).argmin())
        if abs(places[index] - position) > abs(float(stack.step_mm[0])) / 2 + _ROUNDING_MM:
            raise UsageError(f"{scan.case_id}: no {plane} slice lies at {position:g} mm; is it the scan of the plan?")
        found.append(index)
    return int(stack.axis[0]), tuple(sorted(found))


def _planned_stacks(scans: Sequence[ScanGeometry], slicing: Slicing) -> Stacks:
    stacks = stacks_of(scans, slicing.plane, slicing.within)
    refused = _refused([scan.case_id for scan in scans], stacks, slicing)
    if refused:
        case_id, why = next(iter(refused.items()))
        more = f" ({len(refused) - 1} more scan(s) like it)" if len(refused) > 1 else ""
        raise UsageError(f"{case_id}: {why}{more}. Correct --range or --least, or exclude the scan")
    return stacks


def _refused(case_ids: Sequence[str], stacks: Stacks, slicing: Slicing) -> dict[str, str]:
    found = {}
    for row in np.flatnonzero(stacks.room < slicing.least).tolist():
        room, n = int(stacks.room[row]), int(stacks.slices[row])
        if slicing.within is None:
            why = f"the patient is in {room} of its slices, fewer than --least {slicing.least}"
        else:
            low, high, unit = slicing.within
            length = f"{n * float(stacks.spacing_mm[row]):.0f} mm" if unit == "mm" else "100 %"
            why = (
                f"{room} slice(s) of the patient lie {low:g} to {high:g} {unit} from the top of the scan, which is "
                f"{length} long in {n} slices; at least {slicing.least} are needed"
            )
        found[case_ids[row]] = why
    return found


def _cases(
    scans: Sequence[ScanGeometry],
    stacks: Stacks,
    chosen: Sequence[Sequence[int]],
    *,
    ranks: Sequence[int],
    words: Sequence[str],
) -> tuple[PlannedSlices, ...]:
    """Return what is planned of each scan; ``chosen`` counts from the first slice that may be planned."""
    whole = (stacks.axis, stacks.patient_axis, stacks.turned, stacks.slices, stacks.first, stacks.room)
    places = (stacks.start_mm, stacks.step_mm, stacks.tilt)
    cases = []
    rows = zip(scans, ranks, chosen, words, *(column.tolist() for column in (*whole, *places)), strict=True)
    for scan, rank, kept, said, axis, along, turned, n, first, room, start, step, tilt in rows:
        plane = PLANES[along]
        indices = [n - 1 - first - i for i in reversed(kept)] if turned else [first + i for i in kept]
        begins = f", from the {ordinal(kept[0] + 1)} counted from {_TOP[plane]}"
        tilted = f"; the scan is tilted {tilt:.0f}° to the {plane} plane" if tilt > TILTED else ""
        cases.append(
            PlannedSlices(
                case_id=scan.case_id,
                rank=rank,
                axis=axis,
                plane=plane,
                slices=n,
                indices=tuple(indices),
                positions_mm=tuple([round(start + step * i, 4) + 0.0 for i in indices]),
                reason=f"{said.format(n=room, plane=plane)}{begins}{tilted}",
            )
        )
    return tuple(cases)


def _ranks(scans: Sequence[ScanGeometry], ranks: Sequence[int] | None) -> list[int]:
    return list(range(1, len(scans) + 1)) if ranks is None else list(ranks)


def _said(how: str, slicing: Slicing) -> str:
    """Return the words of a plan with places for the number and the plane of slices."""
    return f"{how} of the {{n}} {{plane}} slices {'in the range' if slicing.within else 'that show the patient'}"


def _every_words(every: int) -> str:
    return "every one" if every == 1 else f"every {ordinal(every)}"


def _shared_words(planned: int, room: int) -> str:
    return "every one" if planned == room else f"{planned}, evenly spaced,"


def _shares(room: Int[np.ndarray, " case"], slices: int, least: int) -> Int[np.ndarray, " case"]:
    """Return how many slices each scan gives: in proportion to its ``room``, at least ``least``, ``slices`` in all."""
    if slices >= room.sum():
        return room
    ideal = slices * room / room.sum()
    counts = np.asarray(np.clip(np.floor(ideal).astype(np.int64), least, room))
    while (missing := slices - int(counts.sum())) != 0:
        step = 1 if missing > 0 else -1
        open_ = np.flatnonzero(counts < room if step > 0 else counts > least)
        order = open_[np.argsort(-step * (ideal - counts)[open_], kind="stable")]
        counts[order[: abs(missing)]] += step
    return counts


def _in_turn(every: int) -> list[int]:
    """Return 0 … ``every`` − 1 in an order in which neighbours are far apart."""
    return sorted(range(every), key=lambda n: _van_der_corput(n)[0] / _van_der_corput(n)[1])


def _van_der_corput(n: int) -> tuple[int, int]:
    """Return the ``n``-th number of van der Corput's sequence, from 0, as a fraction."""
    part, whole = 0, 1
    while n:
        n, bit = divmod(n, 2)
        part, whole = 2 * part + bit, 2 * whole
    return part, whole


def ordinal(n: int) -> str:
    """Return ``1st``, ``2nd``, ``3rd``, …"""
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
