"""Small grey pictures of scans, as data that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

LARGEST_SIDE = 192


def stretched(plane: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Return the plane with its 1st to 99.5th percentile (of what is not black) spread over black to white."""
    inside = plane[plane > 0]
    if inside.size == 0:
        return plane
    low, high = np.percentile(inside, (1, 99.5))
    if high - low < 1:
        return plane
    scaled = np.clip((plane.astype(np.float64) - low) / (high - low), 0, 1)
    return np.where(plane > 0, 8 + 247 * scaled, 0).round().astype(np.uint8)


def data_uri(plane: UInt8[np.ndarray, "h w"], *, side: int = LARGEST_SIDE) -> str:
    """Return the plane as a PNG in a ``data:`` address, no side longer than ``side`` pixels."""
    image = Image.fromarray(np.ascontiguousarray(stretched(plane)), mode=None)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
