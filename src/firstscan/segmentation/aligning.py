"""Bring a label map onto the grid of the scan it was drawn on, if that is the same grid stored another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int

from firstscan.domain.arrays import LabelMap
from firstscan.domain.errors import DataError

from .grids import TOLERANCE_VOXELS, Grid, read_labels


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
    to_scan = np.linalg.inv(scan.affine) @ grid.affine
    turn = np.round(to_scan[:3, :3]).astype(int)
    if not _is_turn(turn) or tuple(np.abs(turn) @ np.array(grid.shape)) != scan.shape:
        raise DataError(scan.difference(grid) or "its axes run otherwise than the scan's")
    last = np.array(grid.shape) - 1
    corners = np.array([[0, 0, 0], *np.diag(last), last], dtype=np.float64)
    there = corners @ to_scan[:3, :3].T + to_scan[:3, 3]
    start = np.where(turn.sum(axis=1) < 0, np.array(scan.shape) - 1, 0)
    if np.abs(there - (corners @ turn.T + start)).max() > TOLERANCE_VOXELS:
        raise DataError(scan.difference(grid) or "it is shifted against the scan")
    order = np.abs(turn).argmax(axis=1)
    flipped = tuple(int(axis) for axis in range(3) if turn[axis].sum() < 0)
    turned: np.ndarray = np.ascontiguousarray(np.flip(labels.transpose(order), flipped))
    return turned


def _is_turn(matrix: np.ndarray) -> bool:
    """Tell whether a matrix of whole numbers swaps and flips axes and does nothing else."""
    return bool((np.abs(matrix).sum(axis=0) == 1).all() and (np.abs(matrix).sum(axis=1) == 1).all())
