"""The axes of a grid: how far they are from right angles, what ITK makes of them, which turn lays one on another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .arrays import Float, Int

_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
"""What ITK looks at when it opens a NIfTI file."""
TOLERANCE_VOXELS = 0.1
"""How far a corner of one grid may lie from the same corner of another that counts as equal, in voxels."""


def off_right_angles(axes: Float[np.ndarray, "3 3"]) -> float:
    """Return how far axes, one a column, are from length 1 and right angles, as a cosine."""
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def turn_onto(
    onto: Float[np.ndarray, "4 4"], onto_shape: Sequence[int], affine: Float[np.ndarray, "4 4"], shape: Sequence[int]
) -> Int[np.ndarray, "3 3"] | None:
    """Return what swaps and flips the axes of one grid so that its voxels are those of ``onto``; None where none does.

    Each row says which axis, in which direction, becomes that axis of ``onto``. Both affines lead from voxels to mm in
    the same axes of the patient; the corners may lie ``TOLERANCE_VOXELS`` apart.
    """
    if not np.isfinite(onto).all() or not np.isfinite(affine).all() or np.linalg.det(onto[:3, :3]) == 0:
        return None
    there = np.linalg.inv(onto) @ affine
    if not np.abs(there).max() < 1e9:
        return None
    turn = np.round(there[:3, :3]).astype(int)
    lengths = np.abs(turn)
    if not ((lengths.sum(axis=0) == 1).all() and (lengths.sum(axis=1) == 1).all()):
        return None
    if tuple(lengths @ np.array(shape)) != tuple(onto_shape):
        return None
    last = np.array(shape) - 1
    corners = np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])], dtype=np.float64)
    found = corners @ there[:3, :3].T + there[:3, 3]
    start = np.where(turn.sum(axis=1) < 0, np.array(onto_shape) - 1, 0)
    return turn if np.abs(found - (corners @ turn.T + start)).max() <= TOLERANCE_VOXELS else None


@contextmanager
def rounded_axes_allowed() -> Iterator[None]:
    """Let ITK make the axes of a NIfTI file right that has only an sform, and one that rounding moved.

    Not for every file: where a file states two orientations, ITK would then prefer the one that is off.
    """
    before = os.environ.get(_PERMISSIVE)
    os.environ[_PERMISSIVE] = "ON"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PERMISSIVE]
        else:
            os.environ[_PERMISSIVE] = before
