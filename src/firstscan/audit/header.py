"""Checks on what files say of themselves: dimensions, spacing, agreement between channels."""

from __future__ import annotations

import math

import numpy as np

from firstscan.domain.finding import Finding
from firstscan.domain.volume import Header

IMPOSSIBLE_SPACING_MM = (0.01, 50.0)
UNUSUAL_SPACING_MM = (0.1, 10.0)
IMPOSSIBLE_EXTENT_MM = (4.0, 3000.0)
GEOMETRY_TOLERANCE = 1e-3


def channel_geometry_problem(first: Header, other: Header) -> str:
    """Say in a few words how two channels differ in geometry; empty where they lie on one grid.

    Tolerances: 0.1 % of a voxel's size in spacing, 0.001 in direction cosines, a tenth of a voxel in position.
    """
    if first.shape != other.shape:
        return f"{_by(first.shape)} against {_by(other.shape)} voxels"
    spacing = np.array(first.spacing_mm)
    if not np.allclose(spacing, other.spacing_mm, rtol=GEOMETRY_TOLERANCE, atol=0):
        return f"spacing {_mm(first.spacing_mm)} against {_mm(other.spacing_mm)} mm"
    if not np.allclose(first.direction, other.direction, rtol=0, atol=GEOMETRY_TOLERANCE):
        return "their axes point in different directions"
    distance = float(np.linalg.norm(np.subtract(first.origin_mm, other.origin_mm)))
    if distance > 0.1 * float(spacing.min()):
        return f"their positions differ by {distance:.2f} mm"
    return ""


def check_header(case_id: str, header: Header, path: str = "") -> tuple[Finding, ...]:
    """Return the findings on one header: spacing and extent that are impossible (drop) or unusual (warn)."""
    found: list[Finding] = []
    spacing = header.spacing_mm
    worst = _worst(spacing, IMPOSSIBLE_SPACING_MM)
    if worst is not None:
        found.append(
            Finding(
                code="spacing-implausible",
                severity="drop",
                case_id=case_id,
                message=f"voxels of {_mm(spacing)} mm cannot be right",
                remedy="correct the voxel spacing in the file's header",
                path=path,
                measured=worst[0],
                threshold=worst[1],
            )
        )
        return tuple(found)
    extents = [n * s for n, s in zip(header.shape, spacing, strict=False)]
    far = _worst(tuple(extents), IMPOSSIBLE_EXTENT_MM)
    if far is not None:
        found.append(
            Finding(
                code="extent-implausible",
                severity="drop",
                case_id=case_id,
                message=f"a field of view of {_mm(extents)} mm cannot be right",
                remedy="correct the voxel spacing in the file's header (unit millimetre)",
                path=path,
                measured=far[0],
                threshold=far[1],
            )
        )
    unusual = _worst(spacing, UNUSUAL_SPACING_MM)
    if unusual is not None and far is None:
        found.append(
            Finding(
                code="spacing-unusual",
                severity="warn",
                case_id=case_id,
                message=f"voxels of {_mm(spacing)} mm are unusual",
                remedy="look at this scan: is its spacing right, is it a localiser?",
                path=path,
                measured=unusual[0],
                threshold=unusual[1],
            )
        )
    return tuple(found)


def _worst(values: tuple[float, ...], bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Return (value, violated bound) of the first value outside ``bounds``, or None."""
    low, high = bounds
    for value in values:
        if not math.isfinite(value) or value < low:
            return value, low
        if value > high:
            return value, high
    return None


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _mm(values: tuple[float, ...] | list[float]) -> str:
    return " × ".join(f"{v:.4g}" for v in values)
