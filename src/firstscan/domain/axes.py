"""The axes of a grid: how far they are from right angles, and what ITK makes of those that rounding moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .arrays import Float

_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
"""What ITK looks at when it opens a NIfTI file."""


def off_right_angles(axes: Float[np.ndarray, "3 3"]) -> float:
    """Return how far axes, one a column, are from length 1 and right angles, as a cosine."""
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


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
