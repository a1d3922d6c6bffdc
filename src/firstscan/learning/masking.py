"""Window masks: which voxels of a cube are hidden from the network.

Deviation from the published code, which keeps the stated fraction visible: a mask here hides what it says it
hides (METHOD §3.3).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from firstscan.domain.arrays import Bool


def hidden_windows(
    size: int, window: int, fraction: float, rng: np.random.Generator, count: int = 1
) -> Bool[np.ndarray, "count g g g"]:
    """Choose which windows of a cube are hidden, in ``count`` masks that share the load.

    Each mask hides ``round(fraction · windows)`` windows of the grid of g³, g = size / window. Every window is hidden
    equally often over the ``count`` masks (give or take one), so that no region is judged on fewer reconstructions.

    Parameters
    ----------
    size, window : edge of the cube and of a window, voxels; ``size`` must be a multiple of ``window``.
    fraction : share to hide, in (0, 1).
    """
    if size % window:
        raise ValueError(f"a cube of {size} voxels does not divide into windows of {window}")
    grid = size // window
    total = grid**3
    hidden = min(total - 1, max(1, round(fraction * total)))
    load = np.zeros(total)
    masks = np.zeros((count, total), dtype=bool)
    for mask in masks:
        order = np.lexsort((rng.random(total), load))
        mask[order[:hidden]] = True
        load += mask
    return rng.permutation(masks).reshape(count, grid, grid, grid)


def window_voxels(windows: Tensor, window: int) -> Tensor:
    """Blow a window mask (…, g, g, g) up to voxels (…, s, s, s), s = g · window."""
    for axis in (-3, -2, -1):
        windows = torch.repeat_interleave(windows, window, dim=axis)
    return windows
