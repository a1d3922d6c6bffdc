"""Small grey pictures of scans, as data that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

FEWEST_LEVELS = 128


def stretched(planes: UInt8[np.ndarray, "3 h w"]) -> UInt8[np.ndarray, "3 h w"]:
    """Return planes with good contrast: as they are, or where they use few grey levels, spread over all of them.

    One scale for the three planes: from the 1st to the 99.5th percentile of what is not black.
    """
    inside = planes[planes > 0]
    if inside.size == 0:
        return planes
    low, high = np.percentile(inside, (1, 99.5))
    if high - low < 1 or high - low >= FEWEST_LEVELS:
        return planes
    scaled = np.clip((planes.astype(np.float64) - low) / (high - low), 0, 1)
    return np.where(planes > 0, 8 + 247 * scaled, 0).round().astype(np.uint8)


def data_uri(plane: UInt8[np.ndarray, "h w"], *, side: int) -> str:
    """Return the plane as a PNG in a ``data:`` address, no side longer than ``side`` pixels."""
    image = Image.fromarray(np.ascontiguousarray(plane))
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
