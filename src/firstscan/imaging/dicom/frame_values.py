"""What the functional groups of an enhanced multi-frame DICOM file say of each frame; its values by that."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Float

Line = tuple[float, float]
"""Slope and intercept."""


def groups_of(tags: Any) -> tuple[Any, list[Any]]:
    """Return the functional groups that all frames share (None without any) and those of each frame."""
    shared = tags.SharedFunctionalGroupsSequence[0] if tags.get("SharedFunctionalGroupsSequence") else None
    return shared, list(tags.PerFrameFunctionalGroupsSequence)


def part_of(frame: Any, shared: Any, name: str) -> Any:
    """Return one functional group of a frame, or the shared one.  Raises KeyError where there is neither."""
    return (frame if name in frame or shared is None else shared)[name].value[0]


def rescaled(read: Shaped[np.ndarray, "frame row column"], tags: Any) -> Float[np.ndarray, "frame row column"]:
    """Return the frames as float32, each by its own slope and intercept.

    ``read`` are the frames as GDCM reads them: it takes one slope and intercept for the whole file. Where frames
    differ, that is undone first.
    """
    shared, frames = groups_of(tags)
    lines = [_line(frame, shared, tags) for frame in frames]
    if len(set(lines)) < 2:
        return read.astype(np.float32)
    slope, intercept = taken_by_gdcm(tags)
    slopes, intercepts = (np.array(values)[:, None, None] for values in zip(*lines, strict=True))
    stored = np.rint((read.astype(np.float64) - intercept) / slope)
    return np.asarray(stored * slopes + intercepts, np.float32)


def taken_by_gdcm(tags: Any) -> Line:
    """Return the slope and intercept that GDCM applies to every frame: the shared ones, else those of frame 1."""
    shared, frames = groups_of(tags)
    for groups in (shared, frames[0]):
        if groups is not None and groups.get("PixelValueTransformationSequence"):
            return _numbers(groups.PixelValueTransformationSequence[0])
    return _numbers(tags)


def _line(frame: Any, shared: Any, tags: Any) -> Line:
    try:
        return _numbers(part_of(frame, shared, "PixelValueTransformationSequence"))
    except (KeyError, IndexError):
        return _numbers(tags)


def _numbers(group: Any) -> Line:
    slope, intercept = float(group.get("RescaleSlope") or 1.0), float(group.get("RescaleIntercept") or 0.0)
    return slope, intercept
