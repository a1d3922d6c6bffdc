"""Values of large arrays, fetched in the order of their memory, and samples of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from .arrays import Float, Mask

SAMPLES = 1 << 20
"""About how many values are looked at where they only describe a scan."""
_PLACES = 1 << 18


def step(count: int, wanted: int = SAMPLES) -> int:
    """Return an n such that every n-th of ``count`` values leaves about as many as ``wanted``.

    It is odd, because rows and planes mostly hold an even number of voxels: an even n would meet few columns.
    """
    return max(1, count // wanted) | 1


def inside(channel: Float[np.ndarray, "x y z"], mask: Mask) -> Float[np.ndarray, " n"]:
    """Return all values within ``mask``, z slowest, as a scan lies in memory."""
    return np.asarray(channel.T[mask.T])


def sample_inside(channel: Float[np.ndarray, "x y z"], mask: Mask) -> Float[np.ndarray, " n"]:
    """Return the values within ``mask``, or every n-th of very many: enough for a percentile."""
    values = inside(channel, mask)
    return values[:: step(values.size)]


def sample(channel: Shaped[np.ndarray, "x y z"]) -> Shaped[np.ndarray, " n"]:
    """Return all values, or every n-th of very many, counted with z slowest whatever the order of memory."""
    return channel.T.reshape(-1)[:: step(channel.size)]


def places(where: Mask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the x, y and z of what is set, z slowest, or of every n-th of very many: enough for a median."""
    flat = np.flatnonzero(where.T)
    z, y, x = np.unravel_index(flat[:: step(flat.size, _PLACES)], where.shape[::-1])
    return x, y, z
