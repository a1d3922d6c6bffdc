"""Seconds to score predictions of 50 hippocampus scans (two classes, three metrics), and whether they are MONAI's.

Run: python benchmarks/scoring.py   (FIRSTSCAN_TEST_DATA names the folder of real scans)
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.surface_dice import compute_surface_dice

from _measure import machine
from firstscan.segmentation.evaluate import score_folder
from firstscan.segmentation.grids import read_labels, write_labels

DATA = Path(os.environ.get("FIRSTSCAN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CLASSES = {"anterior": 1, "posterior": 2}
SCANS = 50


def main() -> None:
    labels = {p.name.removesuffix(".nii.gz"): p for p in sorted((DATA / "hippocampus/labels").glob("*.nii.gz"))[:SCANS]}
    if not labels:
        print(f"no hippocampus labels below {DATA}: set FIRSTSCAN_TEST_DATA")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, path in labels.items():  # a prediction: the label map, one voxel aside
            values, grid = read_labels(path)
            write_labels(np.roll(values, 1, axis=1), grid, Path(folder) / f"{name}.nii.gz")
        score_folder(Path(folder), dict(list(labels.items())[:1]), CLASSES)  # imports
        wall, cpu = time.perf_counter(), time.process_time()
        scores = score_folder(Path(folder), labels, CLASSES)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(machine())
        print(f"{len(labels)} scans, {len(scores)} scores: {wall:.2f} s wall, {cpu:.2f} s processor", flush=True)
        worst = max(abs(mine - theirs) for pair in compared(Path(folder), labels, scores) for mine, theirs in pair)
    print(f"largest difference to MONAI's metrics on whole volumes: {worst:.2g}")


def compared(folder: Path, labels: dict[str, Path], scores: tuple) -> list:
    """Return (ours, MONAI's on the whole volume) for every metric of every score."""
    found = []
    by_key = {(s.case_id, s.label): s for s in scores}
    for name, path in labels.items():
        truth, grid = read_labels(path)
        ours, _ = read_labels(folder / f"{name}.nii.gz")
        for value in CLASSES.values():
            a, b = (torch.from_numpy(m == value)[None, None] for m in (ours, truth))
            spacing = list(grid.spacing_mm)
            theirs = (
                float(compute_dice(a, b)),
                float(compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=spacing)),
                float(compute_surface_dice(a, b, [1.0], include_background=True, spacing=spacing)),
            )
            score = by_key[name, value]
            found.append(tuple(zip((score.dice, score.hd95_mm, score.nsd), theirs, strict=True)))
    return found


if __name__ == "__main__":
    main()
