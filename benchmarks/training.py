"""One training step of preset paper on a CPU, against the reference formulation, in one run.

Reference: MONAI's SwinViT with our decoder, two views of each case one after another, as the published code goes
about it. Ours takes all views at once, and is measured with freed memory kept, as in the pipeline, and handed back to
the system, as happens otherwise. The same parameters, losses and number of views; forward and backward, no optimiser.
"""

from __future__ import annotations

import argparse
import resource
from contextlib import nullcontext
from multiprocessing import get_context

import torch

from _measure import machine
from extraction import Contender
from firstscan.execution import freed_memory_kept
from firstscan.learning import PRESETS
from firstscan.learning.network import Network, packed_weights

REFERENCE, HANDED_BACK, OURS = "reference", "ours, memory handed back", "ours"


def step(way: str, views: int) -> None:
    """Learn once from ``views`` views of random cubes, and say what it took."""
    size = PRESETS["paper"].size
    torch.manual_seed(0)
    network = packed_weights(Network("swin", 1))
    cubes = torch.randn(views, 1, size, size, size)

    def learn(seen: torch.Tensor) -> None:
        deepest = network.encoder.swin_vit(seen)[-1] if way == REFERENCE else network.encode(seen)
        logits = network.rotation_head(deepest.mean(dim=(-3, -2, -1)))
        (logits.square().mean() + (network.decoder(deepest) - seen).square().mean()).backward()

    def turn() -> None:
        network.zero_grad()
        for part in cubes.split(1 if way == REFERENCE else views):
            learn(part)

    one = Contender(way, turn, 1)
    with freed_memory_kept() if way == OURS else nullcontext():
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            one.take_turn()
            zeroed = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    times = f"{min(one.wall_s):7.1f} s wall, {min(one.cpu_s):7.1f} s processor"
    print(f"{way:26} {times}, peak {peak:.1f} GiB, {zeroed:.1f} GiB asked of the system", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=2, help="views in a step; preset paper has 8")
    given = parser.parse_args()
    print(machine(), f"· {given.views} views in a step")
    for way in (REFERENCE, HANDED_BACK, OURS):
        process = get_context("spawn").Process(target=step, args=(way, given.views))
        process.start()
        process.join()
