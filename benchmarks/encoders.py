"""Seconds a scan of dinov2 small on a CPU, 32 slices, from the volume in memory to the embedding.

python benchmarks/encoders.py [--scans 6] [--threads 2] [--model vit_small_patch14_dinov2]

The weights are random: what they are costs nothing. The scan is noise of 320 × 300 × 200 voxels at 1 mm, all of it
foreground. Needs timm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from _measure import machine
from firstscan.domain.encoding import KINDS
from firstscan.domain.volume import Volume
from firstscan.imaging import encoder_input
from firstscan.learning.pretrained import Embedder
from firstscan.learning.pretrained.pooling import SLICES


def scan(shape: tuple[int, int, int]) -> Volume:
    voxels = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    return Volume("a", voxels, np.ones(shape, bool), (1.0, 1.0, 1.0), np.eye(4), ("t1",), "mr")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scans", type=int, default=6, help="how often; the best and the median are told")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--model", default="vit_small_patch14_dinov2", help="timm's name")
    given = options.parse_args()
    try:
        import timm
    except Exception as error:  # torchvision, which timm imports, breaks in many ways beside another torch
        print(f"timm cannot be imported here ({type(error).__name__}: {error}): nothing to measure")
        return 0
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    volume, kind = scan((320, 300, 200)), KINDS["dinov3" if "dinov3" in given.model else "dinov2"]
    with tempfile.TemporaryDirectory() as folder:
        network = timm.create_model(given.model, num_classes=0, dynamic_img_size=True)
        torch.save(network.state_dict(), Path(folder) / "weights.pt")
        embedder = Embedder(kind.name, Path(folder) / "weights.pt", kind.given, channels=("t1",), device="cpu")
    print(f"{machine()}, torch {torch.__version__}, timm {timm.__version__}")
    print(f"{given.model}, {SLICES} slices, {given.threads} threads")
    prepared = encoder_input(volume, kind.given)
    for words, work in (
        ("prepare (one thread)", lambda: encoder_input(volume, kind.given)),
        ("embed", lambda: embedder(prepared)),
    ):
        work()
        wall, cpu = [], []
        for _ in range(given.scans):
            start, busy = time.perf_counter(), time.process_time()
            work()
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - busy)
        print(
            f"{words:22} wall {min(wall):.2f} s at best, {np.median(wall):.2f} median; "
            f"processor {min(cpu):.2f} s at best, {np.median(cpu):.2f} median",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
