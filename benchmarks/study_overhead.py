"""The share of a study's time that is neither training, predicting nor scoring, and the seconds of a unet cell.

python benchmarks/study_overhead.py [--workers N]     a small study (FIRSTSCAN_TEST_DATA: the folder of real scans)
python benchmarks/study_overhead.py --of FOLDER       a finished study, from its own records; nothing is run again

The small study: 40 hippocampus scans with the default unet, random drawn 6 times and strided once, 3 and 5 labels.
Features are extracted by a first call; measured is a second one that has only trainings left. Of a finished study its
last call that trained is told; computing features is no overhead and stands outside the account, and the start of the
program itself, some seconds, is in no record. All shares are of wall × workers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
PARTS = ("train", "predict", "score")
TRAINING = "Training models"


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--workers", type=int, default=2)
    told.add_argument("--of", type=Path, metavar="FOLDER", help="results folder of a finished study")
    given = told.parse_args()
    if given.of is not None:
        show(account(given.of))
        return
    if not (DATA / "hippocampus").is_dir():
        print(f"no hippocampus scans below {DATA}: set FIRSTSCAN_TEST_DATA")
        return
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        measure(Path(folder), given.workers)


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
    print(machine())
    print(f"study: {measured}")
    show(account(out, wall_s=measured.wall_s))


@dataclass(frozen=True)
class Account:
    """Where the worker seconds of a study went: ``whole`` is wall × workers, ``inside`` training to scoring."""

    workers: int
    trainings: int
    whole: float
    inside: float
    outside: dict[str, float]
    features_s: float


def account(out: Path, *, wall_s: float | None = None) -> Account:
    """Read the log and the cells of the study in ``out``; ``wall_s``: how long its call took, where that is known."""
    log = [json.loads(line) for line in (out / "work" / "log.jsonl").read_text().splitlines()]
    last = max((i for i, e in enumerate(log) if e.get("name") == TRAINING), default=None)
    if last is None or not (out / "manifest.json").is_file():
        raise SystemExit(f"{out} holds no finished study")
    end = log[last]["time"]
    begin = end - log[last]["seconds"]
    mine = [e for e in log if e["pid"] == log[last]["pid"]]
    features = sum(e["seconds"] for e in mine if e["event"] == "features")
    called = min(_begin(e) for e in mine if e["event"] == "start" or e.get("name") == "Choosing")
    over = max([e["time"] for e in mine if e["event"] == "end"] or [(out / "manifest.json").stat().st_mtime])
    jobs = [
        job for path in (out / "work" / "cells" / "results").glob("*.json") if (job := _job(path)).begin > begin - 1
    ]
    if not jobs:
        raise SystemExit(f"the last call of the study in {out} trained nothing")
    at_once = max(sum(a.begin <= b.begin < a.end for a in jobs) for b in jobs)
    full = sorted(job.begin for job in jobs)[at_once - 1]  # from here every worker trains
    thin = sorted(job.end for job in jobs)[-at_once]  # from here one has nothing left to do
    loading = sum(job.load for job in jobs)
    around = sum(job.end - job.begin - job.inside - job.load for job in jobs)
    before = (begin - called - features) + max((wall_s or 0) - (over - called), 0)
    outside = {
        "start-up": before * at_once + _idle(jobs, at_once, begin, full) + loading,
        "between trainings": _idle(jobs, at_once, full, thin) + around,
        "idle at the end": _idle(jobs, at_once, thin, end),
        "publishing": (over - end) * at_once,
    }
    inside = sum(job.inside for job in jobs)
    return Account(at_once, len(jobs), inside + sum(outside.values()), inside, outside, features)


@dataclass(frozen=True)
class _Job:
    """One training: ``begin`` and ``end`` (seconds since 1970), seconds ``inside`` and of loading libraries."""

    begin: float
    end: float
    inside: float
    load: float


def _job(path: Path) -> _Job:
    """Read one finished training; its file was written when it ended."""
    seconds: dict[str, float] = json.loads(path.read_text())["seconds"]
    end = path.stat().st_mtime
    return _Job(end - seconds["all"], end, sum(seconds.get(p, 0) for p in PARTS), seconds.get("load", 0))


def _begin(event: dict[str, Any]) -> float:
    return float(event["time"]) - float(event["seconds"])


def _idle(jobs: list[_Job], workers: int, begin: float, end: float) -> float:
    """Return the worker seconds between ``begin`` and ``end`` in which no job ran."""
    span = max(end - begin, 0)
    return max(span * workers - sum(max(min(j.end, end) - max(j.begin, begin), 0) for j in jobs), 0)


def show(found: Account) -> None:
    wall, outside = found.whole / found.workers, sum(found.outside.values())
    print(f"{found.trainings} trainings, {found.workers} at once: {wall:.1f} s wall")
    print(f"training, predicting, scoring: {found.inside:.1f} s; per cell {found.inside / found.trainings:.1f} s")
    if found.features_s:
        print(f"features, not counted: {found.features_s:.1f} s")
    print(f"outside of them: {100 * outside / found.whole:.1f} % of wall × workers")
    for name, seconds in found.outside.items():
        print(f"  {name + ':':<19}{100 * seconds / found.whole:5.2f} %  {seconds:6.1f} worker seconds")


if __name__ == "__main__":
    main()
