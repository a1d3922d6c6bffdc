"""How well one prediction matches one label map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """Metrics of one class of one case: ``dice`` and ``nsd`` in [0, 1], ``hd95_mm`` in mm.

    ``status`` is ``ok``, ``both_empty`` (scored 1 / 0 mm / 1) or ``one_empty`` (0 / the image diagonal / 0).
    """

    case_id: str
    label: int
    name: str
    dice: float
    hd95_mm: float
    nsd: float
    status: str
