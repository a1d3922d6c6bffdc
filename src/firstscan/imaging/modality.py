"""CT or MR: from what the file says, else from the intensities."""

from __future__ import annotations

import re

import numpy as np

from firstscan.domain.arrays import Voxels
from firstscan.domain.sampling import sample
from firstscan.domain.volume import Modality

_CT = re.compile(r"(?:^|[^a-z])(?:ct|cbct|cta|ldct|ncct)(?:[^a-z]|$)", re.IGNORECASE)
_MR = re.compile(
    r"(?:^|[^a-z])(?:mri?|t1[a-z]*|t2[a-z]*|flair|pd|dwi|adc|swi|bold|dce|t1gd|t1ce|t1n|t1c|t2w|t2f)(?:[^a-z0-9]|$)",
    re.IGNORECASE,
)


def modality_of_text(text: str | None) -> Modality | None:
    """Return the modality that a DICOM tag or a channel name tells, or None: ``CT`` → ct, ``MR`` or ``FLAIR`` → mr."""
    if not text:
        return None
    word = text.strip()
    if _CT.search(word):
        return "ct"
    if _MR.search(word):
        return "mr"
    return "other" if word.upper() in {"PT", "PET", "US", "NM", "XA", "OT", "MG", "CR", "DX"} else None


def modality_of_voxels(voxels: Voxels) -> Modality:
    """Return ``ct`` where the first channel reads as Hounsfield units, else ``mr``.

    Hounsfield units: air at about −1000 is present (the minimum is ≤ −900, or 0.5 % lie below −500), the 99.5th
    percentile lies between −500 and 4500, and at least 60 % of voxels are air, lung or soft tissue.
    """
    values = sample(voxels[0])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return "mr"
    low, high = np.percentile(values, [0.5, 99.5])
    airy = values.min() <= -900 or low <= -500
    body = np.mean((values <= -700) | ((values >= -200) & (values <= 300)))
    return "ct" if airy and -500 <= high <= 4500 and body >= 0.6 else "mr"
