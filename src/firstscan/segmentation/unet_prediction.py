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
    device = next(network.parameters()).device
    with torch.inference_mode():
        images = torch.from_numpy(voxels)[None].to(device)
        logits: Any = sliding_window_inference(
            images, patch, 2, network, overlap=0.5, mode="gaussian", padding_mode="replicate"
        )
        if tuple(logits.shape[2:]) != shape:
            logits = functional.interpolate(logits.softmax(1), size=shape, mode="trilinear", align_corners=False)
        winner: np.ndarray = logits.argmax(1)[0].cpu().numpy()
    return winner
