"""What a class scores when the prediction, the label, or both hold none of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from firstscan.domain.scores import Score


def diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """Return the length of the image diagonal in mm: the largest distance two voxels can be said to be apart.

    ``shape`` counts voxels along each axis, ``spacing_mm`` is the size of one voxel along the same axes.
    """
    return math.sqrt(sum((n * mm) ** 2 for n, mm in zip(shape, spacing_mm, strict=True)))


def empty_score(
    case_id: str, label: int, name: str, *, in_prediction: bool, in_label: bool, diagonal: float
) -> Score | None:
    """Return the score that the empty-mask rules fix, or None where both masks hold the class.

    Both empty → Dice 1, HD95 0 mm, NSD 1; one empty → Dice 0, HD95 ``diagonal`` (mm), NSD 0.
    """
    if in_prediction and in_label:
        return None
    if in_prediction or in_label:
        return Score(case_id, label, name, dice=0.0, hd95_mm=diagonal, nsd=0.0, status="one_empty")
    return Score(case_id, label, name, dice=1.0, hd95_mm=0.0, nsd=1.0, status="both_empty")
