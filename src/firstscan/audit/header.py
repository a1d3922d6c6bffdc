"""Checks on what files say of themselves: dimensions, spacing, agreement between channels."""

from __future__ import annotations

import math

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.finding import Finding, Severity
from firstscan.domain.volume import Header

IMPOSSIBLE_SPACING_MM = (0.01, 50.0)
UNUSUAL_SPACING_MM = (0.1, 10.0)
IMPOSSIBLE_EXTENT_MM = (4.0, 3000.0)
GEOMETRY_TOLERANCE = 1e-3
FEWEST_SLICES = 3
FEW_SLICES = 8
ORIENTATION_SHARE = 0.01
SPACING_SHARE = 0.01
AXES_REPAIRED = 1e-2
"""Axes that are off right angles or unit length by no more than this, as a cosine, are made right: that is rounding."""
AXES_EXACT = 1e-4
"""So little is not even told."""


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

    def made(code: str, severity: Severity, message: str, remedy: str, beyond: tuple[float, float]) -> Finding:
        return Finding(code, severity, case_id, message, remedy, path, *beyond)

    found: list[Finding] = []
    spacing, fewest = header.spacing_mm, min(header.shape)
    if header.axes_off > AXES_EXACT:
        message = f"its axes are off right angles by {header.axes_off:.2g} (as a cosine), as rounding leaves them; "
        message += "they were made right"
        found.append(made("axes-repaired", "note", message, "nothing to do", (header.axes_off, AXES_EXACT)))
    if worst := _worst(spacing, IMPOSSIBLE_SPACING_MM):
        message = f"voxels of {_mm(spacing)} mm cannot be right"
        remedy = "correct the voxel spacing in the file's header"
        return (*found, made("spacing-implausible", "drop", message, remedy, worst))
    extents = [n * s for n, s in zip(header.shape, spacing, strict=False)]
    far = _worst(tuple(extents), IMPOSSIBLE_EXTENT_MM)
    if far:
        message = f"a field of view of {_mm(extents)} mm cannot be right"
        remedy = "correct the voxel spacing in the file's header (unit millimetre)"
        found.append(made("extent-implausible", "drop", message, remedy, far))
    if fewest < FEW_SLICES:
        message = f"only {fewest} slices ({_by(header.shape)} voxels)"
        remedy = "look at this scan: is it a localiser, or a part of a series?"
        severity: Severity = "drop" if fewest < FEWEST_SLICES else "warn"
        limit = float(FEWEST_SLICES if fewest < FEWEST_SLICES else FEW_SLICES)
        found.append(made("too-few-slices", severity, message, remedy, (float(fewest), limit)))
    unusual = None if far else _worst(spacing, UNUSUAL_SPACING_MM)
    if unusual:
        message = f"voxels of {_mm(spacing)} mm are unusual"
        remedy = "look at this scan: is its spacing right, is it a localiser?"
        found.append(made("spacing-unusual", "warn", message, remedy, unusual))
    return tuple(found)


def check_orientation(
    case_id: str,
    qform: Float[np.ndarray, "4 4"] | None,
    sform: Float[np.ndarray, "4 4"] | None,
    extent_mm: float,
    path: str = "",
) -> tuple[Finding, ...]:
    """Find NIfTI files without orientation, or whose two orientations (qform and sform) disagree (warn).

    Parameters
    ----------
    qform, sform : voxel → mm, or None where the file does not set it.
    extent_mm : longest side of the scan; the two may move its corners apart by 1 % of that.
    """
    if qform is None and sform is None:
        return (
            Finding(
                code="orientation-missing",
                severity="warn",
                case_id=case_id,
                message="the file does not say how the patient lies in it (neither qform nor sform is set)",
                remedy="check left and right in a viewer, and store the orientation",
                path=path,
            ),
        )
    if qform is None or sform is None or extent_mm <= 0:
        return ()
    steps = np.linalg.norm(sform[:3, :3], axis=0)
    reach = np.where(steps > 0, extent_mm / np.where(steps > 0, steps, 1.0), 0.0)
    corners = np.array([[x, y, z, 1.0] for x in (0, reach[0]) for y in (0, reach[1]) for z in (0, reach[2])])
    apart = float(np.linalg.norm(((qform - sform) @ corners.T)[:3], axis=0).max())
    limit = max(ORIENTATION_SHARE * extent_mm, 1.0)
    if not apart > limit:
        return ()
    return (
        Finding(
            code="orientation-conflict",
            severity="warn",
            case_id=case_id,
            message=f"the file states two orientations (qform, sform) that lie {apart:.1f} mm apart",
            remedy="check the scan in a viewer, and store one orientation in both",
            path=path,
            measured=apart,
            threshold=limit,
        ),
    )


def check_voxel_sizes(
    case_id: str, spacing_mm: tuple[float, ...], sform: Float[np.ndarray, "4 4"], path: str = ""
) -> tuple[Finding, ...]:
    """Find NIfTI files with an sform alone whose voxel sizes (pixdim) are others than those of that sform (drop).

    Parameters
    ----------
    spacing_mm : as SimpleITK takes it, from pixdim.
    sform : voxel → mm.
    """
    by_sform = np.linalg.norm(sform[:3, :3], axis=0)
    off = np.abs(np.array(spacing_mm) - by_sform) / np.where(by_sform > 0, by_sform, 1.0)
    if not (off > SPACING_SHARE).any():
        return ()
    message = (
        f"its header states two voxel sizes: {_mm(spacing_mm)} mm (pixdim), as SimpleITK and nnU-Net take them, "
    )
    message += f"and {_mm(by_sform.tolist())} mm (sform), as nibabel does"
    remedy = "find out which is right, and store it in both"
    return (Finding("spacing-conflict", "drop", case_id, message, remedy, path, float(off.max()), SPACING_SHARE),)


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
