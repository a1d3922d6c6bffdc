from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from firstscan.domain.case import Case, Channel
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.imaging import fingerprint, write_image
from firstscan.review.session import Session
from firstscan.steps.reporting.report import Story, keep_story
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import run_pick
from firstscan.steps.steering.review import held
from firstscan.store import open_workspace, write_features, write_findings

HOSTILE = "<script>alert(1)</script>"
NAMES = (HOSTILE, *(f"c{i:02d}" for i in range(1, 30)))


def write_results(out: Path, **options: object) -> Path:
    """Results of thirty scans, of which only features are known."""
    rng = np.random.default_rng(1)
    sites = np.array([f"site {i % 3}" for i in range(30)])
    table = FeatureTable(NAMES, rng.normal(size=(30, 4)), rng.random(30), covariates={"site": sites})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_features(out.parent / "own.parquet", table)
    given = {"budget": 4, "exclude": ("c28",), "labelled": ("c29",), **options}
    run_pick(out.parent / "own.parquet", PickConfig.of(**given), out, Settings())
    return out


def add_scans(out: Path, folder: Path) -> Path:
    """Give the results scans of two channels, and return their folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    cases = {}
    for i, name in enumerate(NAMES):
        paths = [folder / f"{i:02d}_{kind}.nii.gz" for kind in ("t1", "t2")]
        for path in paths:
            write_image(path, rng.integers(0, 900, (10, 12, 8)).astype(np.float32), np.diag([2.0, 2.0, 3.0, 1.0]))
        cases[name] = Case(name, tuple(Channel(p.name[3:5], str(p)) for p in paths), {"site": f"site {i % 3}"})
    prints = {name: fingerprint(case) for name, case in cases.items()}
    story = Story(
        source=str(folder), found=30, left_out=0, cases=cases, modalities=dict.fromkeys(NAMES, "mr"),
        fingerprints=prints, findings=(), history=(), learned=None, settings={},
    )  # fmt: skip
    with open_workspace(out) as workspace:
        keep_story(workspace, story)
        finding = Finding("motion", "warn", "c01", f"strong ghosting in {folder}/01_t1.nii.gz", "look at it")
        write_findings(out / "findings.csv", [finding])
    return folder


@pytest.fixture
def make_results() -> Callable[..., Path]:
    return write_results


@pytest.fixture
def scans(results: Path, tmp_path: Path) -> Path:
    """The folder of scans that ``results`` now know."""
    return add_scans(results, tmp_path / "scans")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "out")


@pytest.fixture
def session(results: Path) -> Iterator[Session]:
    with held(results, Settings()) as opened:
        yield Session(opened)
