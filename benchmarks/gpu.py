"""What one GPU does: cases a second of network work, training steps a second against the reference, peak memory.

Preset paper at 96³, random cubes that lie in memory, so that nothing but the network counts. Reference: MONAI's SwinViT
in float32 with the same decoder, ten passes a case one after another; in training, two views of each case, separately.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from _measure import machine
from extraction import Published
from firstscan.domain.volume import Crop
from firstscan.learning import PRESETS, Extractor, pretrain
from firstscan.learning.network import Network
from firstscan.learning.weights import save_weights

PAPER = PRESETS["paper"]


def cases_per_second(compiled: bool, batches: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Network(PAPER.encoder, 1), Path(folder) / "weights.pt")
        extractor = Extractor(Path(folder) / "weights.pt", PAPER, channels=1, seed=0, device="cuda", compiled=compiled)
    batch = crops(extractor.batch_size)
    return batches * len(batch) / _seconds(lambda: extractor(batch), batches)


def published_cases_per_second(cases: int) -> float:
    network = Published().cuda().eval()
    cube = torch.randn(1, 1, *(PAPER.size,) * 3, device="cuda")

    def ten_passes() -> None:
        with torch.no_grad():
            for _ in range(10):
                network(cube)

    return cases / _seconds(ten_passes, cases)


def published_steps_per_second(steps: int) -> float:
    network = Published().cuda()
    optimiser = torch.optim.AdamW(network.parameters())
    cubes = torch.randn(PAPER.batch_size, 1, *(PAPER.size,) * 3, device="cuda")

    def step() -> None:
        optimiser.zero_grad()
        loss = sum((network(cubes) - cubes).square().mean() for _ in range(2))
        loss.backward()
        optimiser.step()

    return steps / _seconds(step, steps)


def steps_per_second(steps: int) -> float:
    """Time whole pretraining, drawing and copying of batches included, between two progress reports."""
    times: list[float] = []
    preset = replace(PAPER, steps=steps + 5, patience=1.0)
    with tempfile.TemporaryDirectory() as folder:
        pretrain(
            crops(2 * PAPER.batch_size),
            preset,
            channels=1,
            seed=0,
            folder=Path(folder),
            device="cuda",
            checkpoint_every=10**6,
            progress=lambda *_: times.append(time.perf_counter()),
        )
    return steps / (times[-1] - times[-1 - steps])


def crops(count: int) -> list[Crop]:
    rng = np.random.default_rng(0)
    shape = (PAPER.size,) * 3
    return [
        Crop(f"case{i}", rng.standard_normal((1, *shape)).astype(np.float32), np.ones(shape, dtype=bool), 1.0)
        for i in range(count)
    ]


def _seconds(compute: Callable[[], object], times: int) -> float:
    for _ in range(2):
        compute()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        compute()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def _told(what: str, value: float, against: float) -> None:
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    print(f"{what:44} {value:8.2f} a second ({value / against:5.1f} ×), peak {peak:5.1f} GiB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="batches, steps or cases to time")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(0, "gpu.py measures an NVIDIA GPU, and torch sees none here: nothing to do\n")
    print(machine(), "·", torch.cuda.get_device_name())
    base = published_cases_per_second(given.times)
    _told("cases, published: ten separate passes", base, base)
    _told("cases, ours", cases_per_second(False, given.times), base)
    _told("cases, ours through torch.compile", cases_per_second(True, given.times), base)
    base = published_steps_per_second(given.times)
    _told("training steps, reference", base, base)
    _told("training steps, ours", steps_per_second(given.times), base)
