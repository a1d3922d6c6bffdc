"""One training of a study, in whatever process it runs: hand-off → train → predict → scores, then one atomic file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firstscan.domain.errors import DataError, FirstscanError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection
from firstscan.domain.slices import SlicePlan
from firstscan.segmentation.aligning import read_laid_on
from firstscan.segmentation.evaluate import score_folder
from firstscan.segmentation.grids import read_grid
from firstscan.segmentation.protocol import Progress, silent
from firstscan.segmentation.registry import segmenter
from firstscan.steps.annotating.tool_folder import HandoffConfig, handoff
from firstscan.store import atomic_write, dump_json, load_json

_EXPECTED = (FirstscanError, OSError, RuntimeError, ArithmeticError, ValueError, MemoryError)


@dataclass(frozen=True)
class Job:
    """Everything one training needs, picklable. ``test_labels`` maps names in ``images`` to label files.

    ``slices``: all that is annotated, None where whole scans are; ``work``: what somebody has to look at, for costs.
    """

    key: str
    picks: tuple[str, ...]
    training_seed: int
    pool: Pool
    labels: Mapping[str, str]
    classes: Mapping[str, int]
    segmenter: str
    options: Mapping[str, Any]
    images: Path
    test_labels: Mapping[str, Path]
    tolerance_mm: float
    folder: Path
    keep: bool = False
    ignore: int | None = None
    slices: SlicePlan | None = None
    work: SlicePlan | None = None

    @property
    def result(self) -> Path:
        """Where the result lives; it is there exactly when the training is done."""
        return self.folder / "results" / f"{self.key}.json"


def run_job(job: Job, progress: Progress = silent) -> dict[str, Any]:
    """Train, predict and score one set of picks and write the result; a failure is a result with its reason."""
    scratch = job.folder / "scratch" / job.key
    started = time.perf_counter()
    try:
        result = _trained(job, scratch, progress)
    except _EXPECTED as error:
        result = {"status": "failed", "reason": _reason(error), "scores": [], "seconds": {}}
    result["seconds"]["all"] = round(time.perf_counter() - started, 3)
    if not job.keep and (result["status"] == "ok" or job.segmenter == "unet"):
        shutil.rmtree(scratch, ignore_errors=True)
    job.result.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(job.result, dump_json(result))
    return result


def _trained(job: Job, scratch: Path, progress: Progress) -> dict[str, Any]:
    missing = [c for c in job.picks if c not in job.labels]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(job.picks)} pick(s) have no label map: {', '.join(missing[:5])}. Put each into "
            "the folder of the plan entry pool.labels, named like its scan, and run the same command with --overwrite: "
            "trainings that are done are kept"
        )
    dataset = scratch / "dataset"
    shutil.rmtree(dataset, ignore_errors=True)
    dataset.mkdir(parents=True)
    ordered = sorted(job.picks)
    picks = tuple(Pick(c, i + 1, None, None, None, None, "picked in a study") for i, c in enumerate(ordered))
    selection = Selection(picks, strategy="study", seed=0, budget=len(picks), slices=job.slices)
    labels = {c: job.labels[c] for c in ordered}
    handed = handoff(
        selection,
        job.pool,
        HandoffConfig(target="nnunet", name="Picks"),
        dataset,
        labels=labels,
        classes=job.classes,
        ignore=job.ignore,
    )
    trainer = segmenter(job.segmenter, job.options)
    begun = time.perf_counter()
    trainer.load()
    clock = time.perf_counter()
    trainer.train(handed.open_this, scratch / "model", seed=job.training_seed, progress=progress)
    trained = time.perf_counter()
    trainer.predict(scratch / "model", job.images, scratch / "predictions", progress=progress)
    predicted = time.perf_counter()
    scores = score_folder(
        scratch / "predictions", job.test_labels, job.classes, tolerance_mm=job.tolerance_mm, ignore=job.ignore
    )
    voxels, foreground_slices = _annotated(labels, job)
    seconds = {
        "load": round(clock - begun, 3),
        "train": round(trained - clock, 3),
        "predict": round(predicted - trained, 3),
        "score": round(time.perf_counter() - predicted, 3),
    }
    return {
        "status": "ok",
        "reason": "",
        "scores": scores,
        "device": "cpu",
        "foreground_voxels": sum(voxels.values()),
        "slices": None if job.work is None else len(job.work),
        "foreground_slices": foreground_slices,
        "absent_classes": [name for name, found in voxels.items() if not found],
        "seconds": seconds,
    }


def _annotated(labels: Mapping[str, str], job: Job) -> tuple[dict[str, int], int | None]:
    """Return how many voxels of each class are annotated, and how many of the slices looked at hold any class."""
    found = dict.fromkeys(job.classes, 0)
    held = None if job.work is None else 0
    for case_id, path in labels.items():
        values = read_laid_on(Path(path), read_grid(Path(job.pool[case_id].path)))
        planned = None if job.work is None else job.work.of(case_id)
        if planned is not None and held is not None:
            looked = np.take(values, planned.indices, axis=planned.axis)
            held += int(np.isin(looked, [*job.classes.values()]).any(axis=_others(planned.axis)).sum())
            values = values if job.slices is None else looked
        for name, value in job.classes.items():
            found[name] += int(np.count_nonzero(values == value))
    return found, held


def _others(axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(3) if a != axis)


def read_result(path: Path) -> dict[str, Any] | None:
    """Return a finished, successful result; failed ones are tried again by the next run."""
    try:
        result: dict[str, Any] = load_json(path)
    except (FileNotFoundError, DataError):
        return None
    return result if result.get("status") == "ok" else None


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == 28:
        return "the disk is full; free some space and run the study again"
    text = str(error).strip() or type(error).__name__
    return text if isinstance(error, FirstscanError) else f"{type(error).__name__}: {text.splitlines()[-1]}"
