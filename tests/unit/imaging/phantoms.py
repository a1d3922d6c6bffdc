"""Small synthetic scans for the imaging tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firstscan.imaging import write_image

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def head(shape=(40, 48, 36), *, noise=0.03, seed=0, scale=1000.0) -> np.ndarray:
    """An asymmetric two-tissue ellipsoid with a dark hole, in Rician noise; float32, (x, y, z)."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    inside = ((grid / np.array([0.72, 0.78, 0.7])[:, None, None, None]) ** 2).sum(0) < 1
    inner = (((grid - np.array([0.2, -0.1, 0.1])[:, None, None, None]) / 0.3) ** 2).sum(0) < 1
    dark = (((grid + np.array([0.2, 0.2, 0.0])[:, None, None, None]) / 0.15) ** 2).sum(0) < 1
    signal = inside * 0.6 + inner * 0.4
    signal[dark] = 0.02
    noisy = np.hypot(signal + rng.normal(0, noise, shape), rng.normal(0, noise, shape)) if noise else signal
    return (scale * noisy).astype(np.float32)


def save(path: Path, voxels: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> Path:
    """Write ``voxels`` (a head by default) below an existing or new folder and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, head() if voxels is None else voxels, affine)
    return path
