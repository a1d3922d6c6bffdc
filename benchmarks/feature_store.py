"""Memory and time of storing features, and of reading them back as one table, for growing pools.

Invented embeddings go the way of measured ones: a case at a time into the store, from there into features.parquet.
Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from _measure import machine
from firstscan.store import ShardStore, read_features, stream_features

BLOCK = 1000


def stored(cases: int, dim: int, folder: Path) -> None:
    """Store ``cases`` rows and write the table; print the time and this process's peak memory."""
    ids = [f"case_{i:06d}" for i in range(cases)]
    keys = [hashlib.sha256(i.encode()).hexdigest()[:16] for i in ids]
    store = ShardStore(folder)
    clock, start = time.process_time(), time.perf_counter()
    with store.writer() as writer:
        for first in range(0, cases, BLOCK):
            rows = np.random.default_rng(first).standard_normal((BLOCK, dim), dtype=np.float32)
            for i, row in enumerate(rows[: cases - first], start=first):
                writer.append(ids[i], keys[i], row, float(row[0]))
    kept = time.perf_counter() - start
    found = store.locate(keys)
    stream_features(folder / "features.parquet", ids, found.read(), covariates={"site": np.array(["a"] * cases)})
    wall, cpu = time.perf_counter() - start, time.process_time() - clock
    print(
        f"stored in {kept:5.1f} s as {len(store.shards())} shards, one table after {wall:5.1f} s "
        f"({1e3 * cpu / cases:.3f} ms of processor a case), peak {peak_mib():4.0f} MiB"
    )


def read(folder: Path) -> None:
    """Read the table; print the time and this process's peak memory."""
    before, start = time.process_time(), time.perf_counter()
    table = read_features(folder)
    took, cpu = time.perf_counter() - start, time.process_time() - before
    size = (table.embeddings.nbytes + table.uncertainty.nbytes) / 2**20
    print(
        f"read back in {took:.2f} s ({cpu:.2f} s of processor): {size:.0f} MiB of numbers, peak {peak_mib():4.0f} MiB"
    )


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        part, size, name = given.one
        stored(int(size), given.dim, Path(name)) if part == "store" else read(Path(name) / "features.parquet")
        raise SystemExit
    print(machine())
    for size in given.sizes:
        print(f"{size:,} cases of {given.dim} dimensions")
        with tempfile.TemporaryDirectory() as name:
            for part in ("store", "read"):
                command = [sys.executable, __file__, "--dim", str(given.dim), "--one", part, str(size), name]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                print(f"  {done.stdout.strip()}", flush=True)
