"""Seconds a case of extraction, against ten separate passes of the published network, in one run.

The published formulation: MONAI's SwinViT with an upsampling decoder at 96³, one pass for the embedding and nine for
the views, one after another, in training precision. It and ours take turns, so that whatever else the machine does
slows both alike; processor seconds are given too, which other work touches least.

python benchmarks/extraction.py --rounds 3 --draw docs/img/extraction.png
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
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

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.encoder = SwinTransformer(1, width, (7, 7, 7), (2, 2, 2), (2, 2, 2, 2), (3, 6, 12, 24))
        steps: list[nn.Module] = []
        for wide in (16 * width, 8 * width, 4 * width, 2 * width, width):
            steps += [nn.Conv3d(wide, wide // 2, 3, padding=1), nn.InstanceNorm3d(wide // 2), nn.LeakyReLU()]
            steps += [nn.Upsample(scale_factor=2, mode="trilinear", align_corners=False)]
        self.decoder = nn.Sequential(*steps, nn.Conv3d(width // 2, 1, 1))

    def forward(self, cube: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(cube)[-1])


@dataclass
class Contender:
    """Something that measures cases: what one turn runs, and how many cases that is worth."""

    name: str
    turn: Callable[[], object]
    cases: float
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        wall, cpu = time.perf_counter(), _processor_seconds()
        self.turn()
        self.wall_s.append((time.perf_counter() - wall) / self.cases)
        self.cpu_s.append((_processor_seconds() - cpu) / self.cases)


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system


def published() -> Contender:
    network, cube = Published().eval(), torch.randn(1, 1, 96, 96, 96)

    def one_pass() -> object:
        with torch.no_grad():
            return network(cube)

    return Contender("published: ten separate passes at 96³", one_pass, 0.1)


def ours(name: str, cases: int, at_once: int) -> Contender:
    """Return a turn of ``cases`` cases, so many of them at once."""
    preset = PRESETS[name]
    rng = np.random.default_rng(0)
    shape = (preset.size,) * 3
    crop = Crop("a", rng.standard_normal((1, *shape)).astype(np.float32), np.ones(shape, dtype=bool), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        save_weights(Network(preset.encoder, 1), Path(folder) / "weights.pt")
        extractor = Extractor(Path(folder) / "weights.pt", preset, channels=1, seed=0, device="cpu")

    def measure() -> None:
        for _ in range(cases // at_once):
            extractor([crop] * at_once)

    return Contender(f"preset {name} at {preset.size}³, {at_once} at once", measure, cases)


def draw(contenders: list[Contender], path: Path) -> None:
    """Draw the processor seconds a case as bars on a logarithmic scale."""
    mpl.use("Agg")
    from matplotlib import pyplot

    values = [min(c.cpu_s) for c in contenders]
    figure, axes = pyplot.subplots(figsize=(7, 0.6 + 0.45 * len(contenders)), layout="constrained")
    bars = axes.barh([c.name for c in contenders], values, color=["#8a8f98"] + ["#2f6db3"] * (len(values) - 1))
    axes.bar_label(bars, [f"{v:.3g} s   {values[0] / v:.3g} ×" for v in values], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 2, values[0] * 12)
    axes.set_xlabel("processor seconds a case")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns that each takes; the best counts")
    parser.add_argument("--draw", type=Path, help="draw the result into this file")
    given = parser.parse_args()
    print(machine())
    contenders = [published(), ours("paper", 1, 1), ours("fast", 8, 1), ours("fast", 8, 2), ours("fast", 8, 4)]
    for contender in contenders:
        contender.turn()
    for _ in range(given.rounds):
        for contender in contenders:
            contender.take_turn()
    first = contenders[0]
    for one in contenders:
        wall, cpu = min(one.wall_s), min(one.cpu_s)
        ratios = f"{min(first.wall_s) / wall:6.1f} × wall, {min(first.cpu_s) / cpu:6.1f} × processor"
        print(f"{one.name:40} {wall:8.3f} s wall, {cpu:8.3f} s processor a case:{ratios}")
    if given.draw:
        draw(contenders, given.draw)
