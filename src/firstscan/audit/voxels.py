"""Checks on the voxels of one scan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from firstscan.domain.arrays import Float, Voxels
from firstscan.domain.finding import Finding

ABSURD = 1e30
"""Larger numbers come from damaged files and overflow in arithmetic; they count as infinite."""


def check_finite(case_id: str, voxels: Voxels, names: Sequence[str], path: str = "") -> tuple[Finding, ...]:
    """Find NaN and infinity: a warning where they only mark the background around the scan, else a drop.

    Background: most of the array's border is non-finite, as some programs write it outside the head.
    """
    found = []
    for channel, name in zip(voxels, names, strict=True):
        if channel.min() > -ABSURD and channel.max() < ABSURD:  # NaN is neither
            continue
        bad = ~(np.abs(channel) < ABSURD)
        count = int(bad.sum())
        if count == 0:
            continue
        border = np.concatenate([np.take(bad, i, axis=a).ravel() for a in range(3) for i in (0, -1)])
        background = bool(np.isnan(channel[bad]).all() and border.mean() > 0.5 and count < channel.size)
        found.append(
            Finding(
                code="nan-background" if background else "non-finite",
                severity="warn" if background else "drop",
                case_id=case_id,
                message=f"channel {name!r} holds {count} voxels that are NaN or infinite ({count / channel.size:.2%})"
                + (", which seem to mark the background" if background else ""),
                remedy="replace them by 0 outside the body" if background else "export this scan again",
                path=path,
                measured=float(count),
                threshold=0.0,
            )
        )
    return tuple(found)


def check_constant(case_id: str, voxels: Voxels, names: Sequence[str], path: str = "") -> tuple[Finding, ...]:
    """Find channels that hold one value everywhere (drop)."""
    found = []
    for channel, name in zip(voxels, names, strict=True):
        values = _range(channel)
        if values is not None and values[0] != values[1]:
            continue
        value = "no finite value" if values is None else f"{values[0]:g} in every voxel"
        found.append(
            Finding(
                code="constant",
                severity="drop",
                case_id=case_id,
                message=f"channel {name!r} holds {value}: there is nothing to see in it",
                remedy="export this scan again, or leave this channel out with --channel",
                path=path,
                measured=0.0,
                threshold=0.0,
            )
        )
    return tuple(found)


def _range(channel: Float[np.ndarray, "x y z"]) -> tuple[float, float] | None:
    low, high = float(channel.min()), float(channel.max())
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    good = channel[np.isfinite(channel)]
    return (float(good.min()), float(good.max())) if good.size else None
