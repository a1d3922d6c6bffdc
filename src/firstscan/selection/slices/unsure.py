"""How unsure a model is of each slice of a scan, and which slices of it to annotate for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from firstscan.domain.arrays import Bool, Float
from firstscan.domain.errors import UsageError
from firstscan.domain.slices import PlannedSlices, ScanGeometry, SlicePlan

from .planning import slicing_of
from .stacks import FROM_TOP, PLANES, Stacks, stacks_of, stored_axes

SliceAggregate = Literal["sum", "mean"]
SLICE_AGGREGATES: tuple[SliceAggregate, ...] = get_args(SliceAggregate)
Profile = Float[np.ndarray, "measure two _"]
Profiles = tuple[Profile, Profile, Profile]
"""For each of the patient's axes x, y, z the slices across it, counted from the top: the right, the front, the head."""


def profiles(
    maps: Sequence[Float[np.ndarray, "x y z"]], region: Bool[np.ndarray, "x y z"], cosines: Float[np.ndarray, "3 3"]
) -> Profiles:
    """Return for each slice across each of the patient's axes the sum of every map, and its mean over voxels.

    Parameters
    ----------
    region : the voxels that count; a slice without any has 0.
    cosines : direction of the stored axes in the patient (LPS), a column an axis.
    """
    stored = stored_axes(cosines[None])[0]
    inside = [np.where(region, values, 0.0) for values in maps]
    found = []
    for patient, axis in enumerate(stored.tolist()):
        others = tuple(a for a in range(3) if a != axis)
        count = region.sum(axis=others)
        sums = np.stack([values.sum(axis=others) for values in inside])
        means = np.divide(sums, count, out=np.zeros_like(sums), where=count > 0)
        both = np.stack([sums, means], axis=1).astype(np.float32)
        turned = cosines[patient, axis] * FROM_TOP[patient] < 0
        found.append(np.ascontiguousarray(both[:, :, ::-1] if turned else both))
    return found[0], found[1], found[2]


def moved(
    plan: SlicePlan,
    scans: Sequence[ScanGeometry],
    values: Sequence[Float[np.ndarray, " slice"]],
    measure: str,
) -> SlicePlan:
    """Return the plan with as many slices of each scan, those that the model is least sure of.

    The least sure slice is taken first, then the next one that lies no nearer to a taken one than half the distance of
    an even plan; where none is left, half of that, and so on: neighbouring slices show the same. Ties go to the slice
    nearer to the top.

    Parameters
    ----------
    scans : of ``plan``, in its order.
    values : how unsure the model is of each slice of a scan from its top, across the axis of the plan.

    Raises
    ------
    UsageError : numbers of another scan: none, or one that is not finite.
    """
    stacks = stacks_of(scans, slicing_of(plan).plane, slicing_of(plan).within)
    cases = tuple(
        _moved(case, stacks, row, own, measure) for row, (case, own) in enumerate(zip(plan, values, strict=True))
    )
    return replace(plan, cases=cases)


def plane_rows(plan: SlicePlan) -> list[int]:
    """Return for each planned scan which of the patient's axes its slices lie across: 0 x, 1 y, 2 z."""
    return [PLANES.index(case.plane) for case in plan]


def least_sure(values: Float[np.ndarray, " slice"], count: int) -> list[int]:
    """Return ``count`` places with high values that do not lie together, lowest place first; see :func:`moved`."""
    gap = max(1, len(values) // (2 * count)) if count else 1
    order = np.argsort(-values, kind="stable").tolist()
    chosen: list[int] = []
    while len(chosen) < count:
        for place in order:
            if len(chosen) < count and all(abs(place - other) >= gap for other in chosen):
                chosen.append(place)
        gap = max(1, gap // 2)
    return sorted(chosen)


def _moved(
    case: PlannedSlices, stacks: Stacks, row: int, values: Float[np.ndarray, " slice"], measure: str
) -> PlannedSlices:
    n, first, room = int(stacks.slices[row]), int(stacks.first[row]), int(stacks.room[row])
    if not len(values) or not np.isfinite(values).all():
        raise UsageError(f"{case.case_id}: how unsure the model is of its slices is not known")
    own = _resampled(values, n)[first : first + room]
    kept = [first + place for place in least_sure(own, len(case))]
    indices = tuple(sorted(n - 1 - place if stacks.turned[row] else place for place in kept))
    start, step = float(stacks.start_mm[row]), float(stacks.step_mm[row])
    reason = (
        f"the {len(case)} of the {room} {case.plane} slices that the model is least sure of by {measure}, none close "
        "to another"
    )
    positions = tuple(round(start + step * i, 4) + 0.0 for i in indices)
    return replace(case, indices=indices, positions_mm=positions, reason=reason)


def _resampled(values: Float[np.ndarray, " slice"], n: int) -> Float[np.ndarray, " slice2"]:
    """Return values at ``n`` slices of the same extent, linearly between their middles."""
    places = (np.arange(n) + 0.5) * len(values) / n - 0.5
    return np.asarray(np.interp(places, np.arange(len(values)), values))
