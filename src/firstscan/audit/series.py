"""Checks on the slices of one DICOM series."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.finding import Finding

GAP_FACTOR = 1.5
ORIENTATION_TOLERANCE = 0.01
_SCOUT = re.compile(r"(?:^|[^a-z])(?:locali[sz]er|scout|survey|topogram|3[- ]?plane|loc)(?:[^a-z]|$)", re.IGNORECASE)


def check_series(
    case_id: str,
    *,
    positions_mm: Float[np.ndarray, " slice"],
    orientations: Float[np.ndarray, "slice 6"],
    description: str = "",
    image_type: Sequence[str] = (),
    path: str = "",
    missing_bytes: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Find localisers, mixed orientation, repeated and missing slices, cut files.

    Parameters
    ----------
    positions_mm : position of each slice along the normal, ascending.
    orientations : ImageOrientationPatient of each slice.
    missing_bytes : the files that lack voxels.
    """
    found: list[Finding] = []

    def add(code: str, message: str, remedy: str, measured: float, threshold: float) -> None:
        found.append(Finding(code, "drop", case_id, message, remedy, path, measured, threshold))

    if missing_bytes:
        count = len(missing_bytes)
        add("truncated", f"{count} file(s) of the series are cut short", "export this series again", float(count), 0.0)
    if _SCOUT.search(description) or any(_SCOUT.search(t) for t in image_type):
        add("localiser", f"series {description!r} is a localiser", "nothing to do: it is left out", 1.0, 0.0)
        return tuple(found)
    tilt = float(np.abs(orientations - orientations[0]).max(initial=0.0))
    if tilt > ORIENTATION_TOLERANCE:
        add(
            "mixed-orientation",
            "slices of this series point in different directions",
            "leave it out, or split the series by orientation",
            tilt,
            ORIENTATION_TOLERANCE,
        )
        return tuple(found)
    steps = np.diff(np.sort(positions_mm))
    if steps.size == 0:
        return tuple(found)
    repeats = int(np.count_nonzero(steps < 1e-3))
    if repeats:
        add(
            "repeated-slices",
            f"{repeats} slice(s) lie where another one lies: a time series, or files copied twice",
            "split the series by time or echo, or remove the copies",
            float(repeats),
            0.0,
        )
        return tuple(found)
    usual = float(np.median(steps))
    widest = float(steps.max())
    if widest > GAP_FACTOR * usual:
        add(
            "missing-slices",
            f"slices are missing: the widest step is {widest:.2f} mm where {usual:.2f} mm is usual",
            "export this series again, complete",
            widest,
            GAP_FACTOR * usual,
        )
    return tuple(found)
