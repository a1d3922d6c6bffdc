"""Multi-frame files of the older kind, as of nuclear medicine: one position, and the step between frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.errors import ScanError

from .tags import UPRIGHT

_VOLUME = "RECON TOMO"
"""What ImageType says where the frames of a file of nuclear medicine are slices."""
_IN_TIME = ("FrameTime", "FrameTimeVector", "CineRate", "TimeSlotVector", "PhaseVector")


def is_classic(tags: Any) -> bool:
    """Tell whether a multi-frame file keeps nothing of single frames."""
    return not tags.get("PerFrameFunctionalGroupsSequence")


def classic_frames(
    tags: Any, path: Path
) -> tuple[Float[np.ndarray, "frame 3"], Float[np.ndarray, "6"], Float[np.ndarray, "2"]]:
    """Return the position of each frame, the orientation, and the in-plane spacing (row, column), in mm.

    Frames follow one another along the normal, or against it where SpacingBetweenSlices is negative, as nuclear
    medicine has it; SliceVector tells their order where it is there.

    Raises
    ------
    ScanError : ``not-3d`` where frames are projections, times or a film; ``repeated-slices`` where several are of one
        slice; ``position-missing`` where nothing says how far apart they lie; ``spacing-missing``.
    """
    count = int(tags.get("NumberOfFrames") or 1)
    kinds = [str(kind).upper() for kind in (tags.get("ImageType") or ())]
    if _VOLUME not in kinds and (str(tags.get("Modality")) in {"NM", "US"} or any(tags.get(n) for n in _IN_TIME)):
        told = f" (ImageType {chr(92).join(kinds)})" if kinds else ""
        message = f"{path} holds {count} frames that are no slices of one scan{told}: projections, times or a film"
        raise ScanError("not-3d", message, "leave it out, or export the reconstructed slices")
    order = np.array([int(n) for n in (tags.get("SliceVector") or range(1, count + 1))])
    if len(order) != count or len(set(order.tolist())) < count or int(tags.get("NumberOfSlices") or count) != count:
        message = f"{path} holds several frames of one slice: a gated or dynamic study?"
        raise ScanError("repeated-slices", message, "split the file by time, or export the scan again")
    step = float(tags.get("SpacingBetweenSlices") or tags.get("SliceThickness") or 0.0)
    if not np.isfinite(step) or step == 0:
        message = f"{path} does not say how far apart its frames lie"
        raise ScanError("position-missing", message, "export this scan again")
    spacing = np.array([float(v) for v in (tags.get("PixelSpacing") or ())])
    if spacing.shape != (2,) or not np.isfinite(spacing).all() or spacing.min() <= 0:
        raise ScanError("spacing-missing", f"{path} does not tell the size of its pixels", "store PixelSpacing in it")
    orientation = np.array(_stated(tags, "ImageOrientationPatient", UPRIGHT))
    position = np.array(_stated(tags, "ImagePositionPatient", (0.0, 0.0, 0.0)))
    normal = np.cross(orientation[:3], orientation[3:])
    return position + np.outer((order - order.min()) * step, normal), orientation, spacing


def _stated(tags: Any, name: str, default: tuple[float, ...]) -> list[float]:
    """Return numbers that a file states, itself or for its first detector; ``default`` where it does not."""
    places = [tags, *(tags.get("DetectorInformationSequence") or ())][:2]
    found = next((value for place in places if (value := place.get(name))), default)
    return [float(v) for v in found]
