"""Bring a label map onto the grid of the scan it was drawn on, if that is the same grid stored another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int

from firstscan.domain.arrays import LabelMap
from firstscan.domain.axes import turn_onto
from firstscan.domain.errors import DataError

from .grids import Grid, read_labels


def read_laid_on(path: Path, scan: Grid) -> LabelMap:
    """Return the label map of a file in the axis order and directions of ``scan``, as :func:`laid_on` lays it.

    Raises
    ------
    DataError : what :func:`read_labels` raises, or the label map lies on other voxels than the scan.
    """
    labels, grid = read_labels(path)
    return labels if not scan.difference(grid) else laid_on(labels, grid, scan)


def laid_on(labels: LabelMap, grid: Grid, scan: Grid) -> Int[np.ndarray, "_ _ _"]:
    """Return ``labels`` (x, y, z) in the axis order and directions of ``scan``; no voxel value changes.

    Tools store the same voxels along other axes, and round positions; both are undone here, nothing is resampled.

    Raises
    ------
    DataError : the label map covers another part of space, or has other voxels, than the scan.
    """
    turn = turn_onto(scan.affine, scan.shape, grid.affine, grid.shape)
    if turn is None:
        raise DataError(scan.difference(grid) or "its axes run otherwise than the scan's, or it is shifted against it")
    order = np.abs(turn).argmax(axis=1)
    flipped = tuple(int(axis) for axis in range(3) if turn[axis].sum() < 0)
    turned: np.ndarray = np.ascontiguousarray(np.flip(labels.transpose(order), flipped))
    return turned
