"""Seconds a case of extraction, against ten separate passes of the published network, in one run.

The published formulation: MONAI's SwinViT with an upsampling decoder at 96³, one pass for the embedding and nine for
the views, one after another, in training precision.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import nn

from _measure import machine
from firstscan.domain.volume import Crop
from firstscan.learning import PRESETS, Extractor
from firstscan.learning.network import Network
from firstscan.learning.weights import save_weights


class Published(nn.Module):
    """SwinViT and a plain upsampling decoder, as MONAI's self-supervision examples build them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = SwinTransformer(1, 48, (7, 7, 7), (2, 2, 2), (2, 2, 2, 2), (3, 6, 12, 24))
        steps: list[nn.Module] = []
        for width in (768, 384, 192, 96, 48):
            steps += [nn.Conv3d(width, width // 2, 3, padding=1), nn.InstanceNorm3d(width // 2), nn.LeakyReLU()]
            steps += [nn.Upsample(scale_factor=2, mode="trilinear", align_corners=False)]
        self.decoder = nn.Sequential(*steps, nn.Conv3d(24, 1, 1))

    def forward(self, cube: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(cube)[-1])


def published_seconds(passes: int) -> float:
    network, cube = Published().eval(), torch.randn(1, 1, 96, 96, 96)
    with torch.no_grad():
        network(cube)
        start = time.perf_counter()
        for _ in range(passes):
            network(cube)
    return (time.perf_counter() - start) / passes * 10


def ours_seconds(name: str, cases: int) -> float:
    preset = PRESETS[name]
    rng = np.random.default_rng(0)
    shape = (preset.size,) * 3
    crop = Crop("a", rng.standard_normal((1, *shape)).astype(np.float32), np.ones(shape, dtype=bool), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        save_weights(Network(preset.encoder, 1), Path(folder) / "weights.pt")
        extractor = Extractor(Path(folder) / "weights.pt", preset, channels=1, seed=0)
        extractor([crop])
        start = time.perf_counter()
        for _ in range(cases):
            extractor([crop])
        return (time.perf_counter() - start) / cases


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=3, help="passes of the published network to time")
    parser.add_argument("--cases", type=int, default=10, help="cases of preset fast to time")
    given = parser.parse_args()
    print(machine())
    fast = ours_seconds("fast", given.cases)
    published = published_seconds(given.passes)
    paper = ours_seconds("paper", 1)
    print(f"published: ten separate passes at 96³   {published:7.2f} s a case")
    print(f"preset paper, nine views in one batch   {paper:7.2f} s a case: {published / paper:5.1f} ×")
    print(f"preset fast at 48³                      {fast:7.3f} s a case: {published / fast:5.0f} ×")
