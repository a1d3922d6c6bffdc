"""Sliding-window prediction of ``unet``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from torch.nn import functional


def label(network: torch.nn.Module, voxels: np.ndarray, patch: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Return class indices on the scan's own grid of ``shape``; probabilities, not labels, are resampled.

    ``voxels`` (channel, x, y, z) at the working spacing. Windows overlap by half and count less towards their edges; a
    scan smaller than the patch continues its edge, as in training.
    """
    with torch.inference_mode():
        logits = _logits(network, voxels, patch)
        if tuple(logits.shape[2:]) != shape:
            logits = functional.interpolate(logits.softmax(1), size=shape, mode="trilinear", align_corners=False)
        winner: np.ndarray = logits.argmax(1)[0].cpu().numpy()
    return winner


def probabilities(network: torch.nn.Module, voxels: np.ndarray, patch: Sequence[int]) -> np.ndarray:
    """Return class probabilities (class, x, y, z) as float32 at the spacing of ``voxels`` (channel, x, y, z)."""
    with torch.inference_mode():
        found: np.ndarray = _logits(network, voxels, patch).softmax(1)[0].cpu().numpy()
    return found


def winner_on(probable: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return class indices on a grid of ``shape`` from probabilities (class, x, y, z) over the same extent."""
    with torch.inference_mode():
        values = torch.from_numpy(np.ascontiguousarray(probable, dtype=np.float32))[None]
        if tuple(values.shape[2:]) != shape:
            values = functional.interpolate(values, size=shape, mode="trilinear", align_corners=False)
        winner: np.ndarray = values.argmax(1)[0].numpy()
    return winner


def _logits(network: torch.nn.Module, voxels: np.ndarray, patch: Sequence[int]) -> Any:
    images = torch.from_numpy(voxels)[None].to(next(network.parameters()).device)
    return sliding_window_inference(images, patch, 2, network, overlap=0.5, mode="gaussian", padding_mode="replicate")
