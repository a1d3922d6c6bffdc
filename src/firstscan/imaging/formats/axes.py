"""Axes of a grid that rounding left not quite at right angles: repaired; those of a sheared grid: refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from firstscan.audit.header import AXES_EXACT, AXES_REPAIRED
from firstscan.domain.axes import off_right_angles
from firstscan.domain.errors import ScanError
from firstscan.domain.volume import Header


def righted(header: Header, path: str | Path, off: float | None = None) -> Header:
    """Return ``header`` with axes at right angles: as they are, or the nearest ones where rounding moved them.

    Parameters
    ----------
    off : how far the axes in the file are off, where a reader has made them right already.

    Raises
    ------
    ScanError : code ``not-orthogonal``: they are off by more than rounding explains.
    """
    if len(header.direction) != 9 or not np.isfinite(header.direction).all():
        return header
    off = off_right_angles(np.reshape(np.array(header.direction), (3, 3))) if off is None else off
    if off <= AXES_EXACT:
        return header
    refuse_shear(off, path)
    left, _, right = np.linalg.svd(np.reshape(header.direction, (3, 3)))
    return replace(header, direction=tuple(float(v) for v in (left @ right).ravel()), axes_off=off)


def refuse_shear(off: float, path: str | Path) -> None:
    """Refuse axes that are off right angles by more than rounding.

    Raises
    ------
    ScanError : code ``not-orthogonal``.
    """
    if off > AXES_REPAIRED:
        raise ScanError(
            "not-orthogonal",
            f"{path}: its axes are not at right angles (off by {off:.3g}, as a cosine): the grid is sheared",
            "resample this scan onto a grid at right angles",
        )
