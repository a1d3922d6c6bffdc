"""Embedding and nine-view uncertainty of one case or of several (METHOD §1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from firstscan.domain.arrays import Float
from firstscan.domain.volume import Crop

from .masking import hidden_windows, window_voxels
from .network import Network, foreground_average, packed_weights
from .presets import Preset, resolve_device
from .threads import cases_at_once, cpu_threads
from .views import NINE_VIEWS, restore, transform
from .weights import load_weights

Region = Literal["foreground", "all"]


@dataclass(frozen=True, slots=True)
class CaseFeatures:
    """``embedding`` (dim,) float32; ``uncertainty`` in squared units of the normalised intensity, ≥ 0."""

    case_id: str
    embedding: Float[np.ndarray, " dim"]
    uncertainty: float


class Extractor:
    """A trained network ready to measure cases.

    All cases are judged under the same nine masks, drawn once from ``seed``: differences in U are then differences
    between scans, not between draws. The masks hide every window equally often. ``region="all"`` averages over the
    whole cube as published; the default averages over the foreground.
    """

    def __init__(
        self,
        weights: Path,
        preset: Preset,
        *,
        channels: int,
        seed: int,
        device: str = "auto",
        region: Region = "foreground",
    ) -> None:
        kind = resolve_device(device)
        self.device = torch.device(device if ":" in device else kind)
        self.region = region
        self.encoder_threads = 1 if cases_at_once(preset.encoder) is None else torch.get_num_threads()
        network = Network(preset.encoder, channels)
        load_weights(network, weights)
        self.network = packed_weights(network.to(self.device)).eval()
        rng = np.random.default_rng([seed, len(NINE_VIEWS)])
        windows = hidden_windows(preset.size, preset.window, preset.masked_fraction, rng, count=len(NINE_VIEWS))
        hidden = window_voxels(torch.from_numpy(windows[:, None].astype(np.float32)), preset.window)
        self.visible = (1 - hidden).to(self.device)

    def __call__(self, crops: Sequence[Crop]) -> list[CaseFeatures]:
        """Measure ``crops`` in one pass: nine masked views of each, and the unmasked case for the embedding."""
        voxels = torch.from_numpy(np.stack([c.voxels for c in crops])).to(self.device)
        masks = np.stack([np.ones_like(c.foreground) if self.region == "all" else c.foreground for c in crops])
        foreground = torch.from_numpy(masks[:, None].astype(np.float32)).to(self.device)
        with (
            cpu_threads(1 if self.device.type == "cpu" else torch.get_num_threads()),
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"),
        ):
            embeddings = foreground_average(self._encode(voxels).float(), foreground)
            uncertainty = self._uncertainty(voxels, foreground)
        return [
            CaseFeatures(crop.case_id, embedding, float(u))
            for crop, embedding, u in zip(crops, embeddings.cpu().numpy(), uncertainty.cpu().numpy(), strict=True)
        ]

    def _encode(self, cubes: Tensor) -> Tensor:
        with cpu_threads(self.encoder_threads):
            return self.network.encode(_packed(cubes))

    def _uncertainty(self, voxels: Tensor, foreground: Tensor) -> Tensor:
        """Foreground mean of the voxelwise variance of nine reconstructions, (batch,)."""
        count = len(voxels)
        seen = torch.cat(
            [transform(voxels * visible, view) for visible, view in zip(self.visible, NINE_VIEWS, strict=True)]
        )
        outputs = self.network.decoder(self._encode(seen)).float()
        back = torch.stack([restore(cube, view) for cube, view in zip(outputs.split(count), NINE_VIEWS, strict=True)])
        variance = back.var(dim=0, unbiased=False).mean(dim=1, keepdim=True)
        return (variance * foreground).sum(dim=(1, 2, 3, 4)) / foreground.sum(dim=(1, 2, 3, 4)).clamp_min(1.0)


def _packed(cubes: Tensor) -> Tensor:
    return cubes.contiguous(memory_format=torch.channels_last_3d)
