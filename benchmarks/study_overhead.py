"""The share of a study's time that is neither training, predicting nor scoring, and the seconds of a unet cell.

Run: python benchmarks/study_overhead.py [--workers N]   (FIRSTSCAN_TEST_DATA names the folder of real scans)

A study of 40 hippocampus scans with the default unet: random drawn 6 times, strided once, 3 and 5 labels. Features are
extracted by a
first call; measured is a second one that has only trainings left.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from _measure import firstscan, machine

DATA = Path(os.environ.get("FIRSTSCAN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
EVERY = 5
PLAN = {
    "name": "overhead",
    "test": {"fraction": 0.25, "seed": 2026},
    "classes": {"anterior": 1, "posterior": 2},
    "budgets": [3, 5],
    "strategies": ["random", "strided"],
    "selection_seeds": {"random": 6, "default": 1},
    "preset": "fast",
    "train_steps": 5,
}


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--workers", type=int, default=2)
    workers = told.parse_args().workers
    if not (DATA / "hippocampus").is_dir():
        print(f"no hippocampus scans below {DATA}: set FIRSTSCAN_TEST_DATA")
        return
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        measure(Path(folder), workers)


def measure(folder: Path, workers: int) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir()
        for path in sorted((DATA / "hippocampus" / part).glob("*.nii.gz"))[::EVERY]:
            (folder / part / path.name).symlink_to(path)
    source = {"source": str(folder / "images"), "labels": str(folder / "labels")}
    out, plan = folder / "out", folder / "plan.yaml"
    plan.write_text(json.dumps(PLAN | {"pool": source, "segmenter": {"name": "unet", "iterations": 1}}))
    firstscan("study", plan, "--out", out)  # features, and what a machine caches
    for left in (p for p in out.iterdir() if p.name != "work"):
        left.unlink()
    shutil.rmtree(out / "work" / "cells")
    plan.write_text(json.dumps(PLAN | {"pool": source, "segmenter": {"name": "unet"}}))
    measured = firstscan("study", plan, "--out", out, "--workers", workers)
    costs = pd.read_csv(out / "costs.csv").drop_duplicates(["foreground_voxels", "all_s"])  # equal picks: one training
    inside = costs[["train_s", "predict_s", "score_s"]].sum().sum()
    print(machine())
    print(f"{len(costs)} trainings by {workers} workers: {measured}")
    print(f"training, predicting, scoring: {inside:.1f} s; per cell {costs['all_s'].mean():.1f} s")
    print(f"outside of them: {100 * (1 - inside / (measured.wall_s * workers)):.1f} % of wall × workers")
    print(f"  within cells (hand-off, counting voxels): {100 * (costs['all_s'].sum() - inside) / inside:.2f} %")


if __name__ == "__main__":
    main()
