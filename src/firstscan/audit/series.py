"""Checks on the slices of one DICOM series."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.axes import off_right_angles
from firstscan.domain.finding import Finding, Severity

from .header import AXES_REPAIRED
from .stack import DRIFT_TOLERANCE, STEP_TOLERANCE, Stack

GAP_FACTOR = 1.5
MOST_GAPS = 0.25
"""Where more of the steps than this are wide, the series is unevenly spaced; no slice is missing."""
ORIENTATION_TOLERANCE = 0.01
_REGRIDDED = (
    "nothing to do; hand-offs and label maps refer to the resampled scan, so draw labels on what is handed over"
)
_SCOUT = re.compile(r"(?:^|[^a-z])(?:locali[sz]er|scout|survey|topogram|3[- ]?plane|loc)(?:[^a-z]|$)", re.IGNORECASE)


def widest_gap(steps_mm: Float[np.ndarray, " step"]) -> float:
    """Return the widest step where slices are missing, else 0: a few steps are far wider than the others."""
    limit = GAP_FACTOR * float(np.median(steps_mm))
    wide = steps_mm > limit
    return float(steps_mm.max()) if 0 < np.count_nonzero(wide) <= max(MOST_GAPS * len(steps_mm), 1) else 0.0


def check_places(
    case_id: str, *, placed: bool, spaced: bool, step_mm: float, step_from: str, path: str = ""
) -> tuple[Finding, ...]:
    """Find series that do not tell where their slices lie, or how large their pixels are.

    Parameters
    ----------
    placed, spaced : whether the files tell their position, and the size of their pixels.
    step_mm, step_from : the distance between slices that they state, 0 for none, and the tag it is from.
    """
    found = []
    if not spaced:
        message = "the files do not tell the size of their pixels (PixelSpacing)"
        found.append(Finding("spacing-missing", "drop", case_id, message, "store PixelSpacing in the files", path))
    if not placed:
        message = "the files do not tell where their slices lie (ImagePositionPatient, ImageOrientationPatient)"
        message += (
            f"; they are taken {step_mm:g} mm apart ({step_from}), by number" if step_mm else ", nor how far apart"
        )
        remedy = "check the order of slices, left and right in a viewer" if step_mm else "export this series again"
        severity: Severity = "warn" if step_mm else "drop"
        found.append(Finding("position-missing", severity, case_id, message, remedy, path, step_mm or None))
    return tuple(found)


def check_series(
    case_id: str,
    *,
    stack: Stack,
    orientations: Float[np.ndarray, "slice 6"],
    description: str = "",
    image_type: Sequence[str] = (),
    path: str = "",
    missing_bytes: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Find localisers, mixed orientation, repeated, missing, shifted and unevenly spaced slices, cut files.

    Parameters
    ----------
    stack : where the slices lie, in order along their normal.
    orientations : ImageOrientationPatient of each slice.
    missing_bytes : the files that lack voxels.
    """

    def made(code: str, message: str, remedy: str, measured: float, threshold: float) -> Finding:
        return Finding(code, "drop", case_id, message, remedy, path, measured, threshold)

    found: list[Finding] = []
    if missing_bytes:
        count = len(missing_bytes)
        message = f"{count} file(s) of the series are cut short"
        found.append(made("truncated", message, "export this series again", float(count), 0.0))
    if _SCOUT.search(description) or any(_SCOUT.search(t) for t in image_type):
        message = f"series {description!r} is a localiser"
        return (*found, made("localiser", message, "nothing to do: it is left out", 1.0, 0.0))
    crooked = off_right_angles(np.stack([stack.orientation[:3], stack.orientation[3:], stack.normal], axis=1))
    if crooked > AXES_REPAIRED:
        message = f"rows and columns of its slices are not at right angles (off by {crooked:.3g}, as a cosine)"
        remedy = "export this series again: its ImageOrientationPatient is wrong"
        return (*found, made("not-orthogonal", message, remedy, crooked, AXES_REPAIRED))
    tilt = float(np.abs(orientations - orientations[0]).max(initial=0.0))
    if tilt > ORIENTATION_TOLERANCE:
        message = "slices of this series point in different directions"
        remedy = "leave it out, or split the series by orientation"
        return (*found, made("mixed-orientation", message, remedy, tilt, ORIENTATION_TOLERANCE))
    steps = stack.steps_mm
    if steps.size == 0:
        return tuple(found)
    if repeats := int(np.count_nonzero(steps < 1e-3)):
        message = f"{repeats} slice(s) lie where another one lies: a time series, or copies with identifiers of "
        message += "their own"
        remedy = "split the series by time or echo, or remove the copies"
        return (*found, made("repeated-slices", message, remedy, float(repeats), 0.0))
    if widest := widest_gap(steps):
        usual = float(np.median(steps))
        message = f"slices are missing: the widest step is {widest:.2f} mm where {usual:.2f} mm is usual"
        remedy = "export this series again, complete"
        return (*found, made("missing-slices", message, remedy, widest, GAP_FACTOR * usual))
    return (*found, *_regridded(case_id, stack, path))


def _regridded(case_id: str, stack: Stack, path: str) -> list[Finding]:
    """Warn of slices that are shifted or unevenly spaced, so that the series is resampled when it is read."""
    found = []
    if stack.is_sheared:
        far = stack.widest_drift
        message = f"its slices are shifted against each other by up to {far:.1f} pixels ({stack.tilt_degrees:.1f}° off "
        message += "the normal, as with a tilted gantry); it is read on a straight grid"
        found.append(Finding("sheared-slices", "warn", case_id, message, _REGRIDDED, path, far, DRIFT_TOLERANCE))
    if stack.is_uneven:
        steps = stack.steps_mm
        message = f"the steps between its slices differ, from {steps.min():.2f} to {steps.max():.2f} mm; it is read on "
        message += f"a grid with steps of {stack.even_step_mm:.2f} mm"
        off = stack.unevenness
        found.append(Finding("uneven-slices", "warn", case_id, message, _REGRIDDED, path, off, STEP_TOLERANCE))
    return found
