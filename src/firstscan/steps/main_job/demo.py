"""The offline demonstration: an invented cohort, and the main job on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firstscan.demo import generate
from firstscan.domain.case import Case, Channel
from firstscan.imaging import read_volume, write_image
from firstscan.steps.running.batch_config import SelectCommand
from firstscan.steps.running.run import Run, Settings
from firstscan.store import open_workspace

from .select import Selected, select

BUDGET = 8
COHORT_SEED = 42
CASES = 40


def demo(out: Path, settings: Settings) -> Selected:
    """Write the demo cohort below ``out/cohort`` unless it is there, and select from it."""
    cohort = out / "cohort"
    with open_workspace(out) as workspace:
        make_cohort(cohort, Run(workspace, settings))
    return select(SelectCommand.of(source=str(cohort / "images"), budget=BUDGET, preset="fast"), out, settings)


def make_cohort(cohort: Path, run: Run) -> None:
    """Write the demo cohort into the folder ``cohort`` unless it is there."""
    if (cohort / "cohort.csv").is_file():
        return
    with run.stage(f"Making {CASES} scans", CASES) as progress:
        shown = 0

        def report(done: int, total: int) -> None:
            nonlocal shown
            del total
            progress.advance(done - shown)
            shown = done

        generate(cohort, seed=COHORT_SEED, read=_read, write=_write, n=CASES, progress=report)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    volume = read_volume(Case("template", (Channel("image", str(path)),)), modality="other")
    return volume.voxels[0], volume.affine


def _write(path: Path, voxels: np.ndarray, affine: np.ndarray, dtype: str) -> None:
    write_image(path, voxels.astype(dtype), affine)
