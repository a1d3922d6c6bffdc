"""Time indexing and auditing the headers of 10,000 NIfTI files, and the memory it takes."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from firstscan.imaging import index, inspect_header, write_image


def main(count: int, workers: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        write_image(folder / "seed.nii.gz", rng.integers(0, 900, (64, 64, 40)).astype(np.int16), np.eye(4))
        for i in range(count):
            (folder / "scans" / f"{i // 500:03d}").mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "seed.nii.gz", folder / "scans" / f"{i // 500:03d}" / f"case{i:05d}.nii.gz")
        for attempt in ("first", "warm"):
            start = time.perf_counter()
            pool = index(folder / "scans")
            indexed = time.perf_counter()
            with ThreadPoolExecutor(workers) as threads:
                findings = sum(len(f) for f in threads.map(inspect_header, pool, chunksize=64))
            done = time.perf_counter()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{attempt}: {len(pool)} files, index {indexed - start:.1f} s, headers {done - indexed:.1f} s, "
                f"{findings} findings, peak {peak:.2f} GiB"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    main(arguments.count, arguments.workers)
