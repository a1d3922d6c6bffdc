"""The offline demonstration: an invented cohort, and the main job on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firstscan.demo import generate
from firstscan.domain.case import Case, Channel
from firstscan.execution import Progress, Silent
from firstscan.imaging import read_volume, write_image
from firstscan.store import open_workspace

from .config import SelectCommand
from .run import Run, Settings
from .select import Selected, select

BUDGET = 8
COHORT_SEED = 42
CASES = 40


def demo(out: Path, settings: Settings) -> Selected:
    """Write the demo cohort below ``out/cohort`` unless it is there, and select from it."""
    cohort = out / "cohort"
    with open_workspace(out) as workspace, Run(workspace, settings).stage("Making 40 scans", CASES) as progress:
        write_cohort(cohort, progress)
    return select(SelectCommand.of(source=str(cohort / "images"), budget=BUDGET, preset="fast"), out, settings)


def write_cohort(folder: Path, progress: Progress | None = None) -> None:
    """Write the demo's 40 scans, their tissue labels and ``cohort.csv`` into ``folder``, unless they are there."""
    told = progress or Silent()
    if (folder / "cohort.csv").is_file():
        told.advance(CASES)
        return
    shown = 0

    def report(done: int, total: int) -> None:
        nonlocal shown
        del total
        told.advance(done - shown)
        shown = done

    generate(folder, seed=COHORT_SEED, read=_read, write=_write, n=CASES, progress=report)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    volume = read_volume(Case("template", (Channel("image", str(path)),)), modality="other")
    return volume.voxels[0], volume.affine


def _write(path: Path, voxels: np.ndarray, affine: np.ndarray, dtype: str) -> None:
    write_image(path, voxels.astype(dtype), affine)
