"""How far extraction is from what its arithmetic needs, a preset: operations a case over the machine's measured peak.

Peak: the best of many matrix products on one core. Operations: torch counts those of matrix products, convolutions and
attention, for the straightforward formulation (ten passes, padding included) and for ours; norms, softmax and moving
data around are the distance. Processor seconds, so that other work on the machine disturbs little. The disk: a file of
64 MiB, read again from the page cache and, where the system lets us drop it, from the disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from _measure import machine
from extraction import ours
from firstscan.learning import PRESETS
from firstscan.learning.encoders.swin import SwinEncoder
from firstscan.learning.network import Network

PASSES = 10


def peak(dtype: torch.dtype, edge: int = 1024) -> float:
    """Return the operations a second of one core in products of matrices of ``edge``²."""
    matrix = torch.randn(edge, edge, dtype=dtype)
    return 2 * edge**3 / _best(lambda: matrix @ matrix, 20)


def attention(dtype: torch.dtype) -> float:
    """Return the seconds a score of fused attention with a bias, in windows of 7³ tokens and heads of 16."""
    query = torch.randn(4, 3, 343, 16, dtype=dtype)
    bias = torch.randn(1, 3, 343, 343, dtype=dtype)
    attend = torch.nn.functional.scaled_dot_product_attention
    with torch.inference_mode():
        return _best(lambda: attend(query, query, query, attn_mask=bias), 10) / (4 * 3 * 343**2)


def disk(mebibytes: int = 64) -> tuple[float, float]:
    """Return bytes a second from the page cache and from the disk."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        file.write(os.urandom(mebibytes << 20))
        file.flush()
        os.fsync(file.fileno())
        rates = []
        for keep in (True, False):
            if not keep:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = time.perf_counter()
            Path(file.name).read_bytes()
            rates.append((mebibytes << 20) / (time.perf_counter() - start))
    return rates[0], rates[1]


def operations(name: str) -> tuple[float, float]:
    """Return the operations a case of the straightforward formulation and of ours."""
    preset = PRESETS[name]
    network = Network(preset.encoder, 1).eval()
    cube = torch.randn(1, 1, *(preset.size,) * 3)
    plain = network.encoder.swin_vit if isinstance(network.encoder, SwinEncoder) else network.encoder
    encode, decode = network.encoder.frozen(preset.size), network.decoder.frozen()
    with torch.no_grad():
        deepest = network.encode(cube)
        straight = PASSES * _counted(lambda: plain(cube)) + (PASSES - 1) * _counted(lambda: network.decoder(deepest))
        lean = PASSES * _counted(lambda: encode(cube)) + (PASSES - 1) * _counted(lambda: decode(deepest))
    return straight, lean


def _counted(compute: Callable[[], object]) -> int:
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # torch counts that of GPUs only
    with FlopCounterMode(display=False, custom_mapping={fused: _attended}) as counter:
        compute()
    return counter.get_total_flops()


def _attended(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    """Return the operations of attention for tensors of these shapes (windows, heads, tokens, d)."""
    windows, heads, tokens, width = query
    return 2 * windows * heads * tokens * key[2] * (width + value[3])


def _best(compute: Callable[[], object], times: int) -> float:
    """Return the fewest processor seconds of this thread."""
    compute()
    seconds = []
    for _ in range(times):
        start = time.thread_time()
        compute()
        seconds.append(time.thread_time() - start)
    return min(seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2, help="cases of each preset to time")
    given = parser.parse_args()
    print(machine())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    single, half = peak(torch.float32), peak(torch.bfloat16)
    cached, cold = disk()
    print(f"peak of one core: {single / 1e9:.0f} GFLOP/s in float32, {half / 1e9:.0f} in bfloat16")
    scores = [1e9 * attention(dtype) for dtype in (torch.float32, torch.bfloat16)]
    print(f"fused attention: {scores[0]:.2f} ns a score in float32, {scores[1]:.2f} in bfloat16")
    print(f"reading: {cached / 1e9:.2f} GB/s from the page cache, {cold / 1e9:.2f} from the disk")
    for name, preset in PRESETS.items():
        straight, lean = operations(name)
        torch.set_num_threads(threads)
        one = ours(name, 1, 1)
        torch.set_num_threads(1)
        one.turn()
        for _ in range(given.cases):
            one.take_turn()
        floor, took = lean / single, min(one.cpu_s)
        print(
            f"preset {name}: {straight / 1e9:.1f} GFLOP a case straightforwardly, {lean / 1e9:.1f} as computed; "
            f"floor {floor:.3f} s, took {took:.3f} s of processor: {took / floor:.1f} × the floor"
        )
        voxels = 4 * preset.size**3
        print(f"  its standardised crop is {voxels / 1e6:.2f} MB: {1e3 * voxels / cold:.2f} ms from the disk")
