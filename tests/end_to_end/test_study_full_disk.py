"""A disk that fills in the middle of a study: one clear error or recorded failures, and in the end the same scores."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from firstscan.domain.errors import DataError
from firstscan.domain.features import FeatureTable
from firstscan.segmentation.grids import Grid, sitk, write_labels
from firstscan.steps.running.run import Settings
from firstscan.study.plan import plan_of
from firstscan.study.run import study

from .test_faults import small_disk  # noqa: F401

HERE = Settings(workers=1)
KIB = (80, 180, 220, 260, 300, 400)


@pytest.fixture
def plan(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    shape = (40, 32, 32)
    grid = Grid(shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    for i in range(5):
        labels = rng.integers(0, 3, shape).astype(np.int32)
        image = sitk().GetImageFromArray((labels + rng.normal(0, 0.3, shape)).astype(np.float32).T)
        sitk().WriteImage(image, str(tmp_path / "images" / f"case{i}.nii.gz"))
        write_labels(labels, grid, tmp_path / "labels" / f"case{i}.nii.gz")
    return plan_of(
        {
            "pool": {"source": str(tmp_path / "images"), "labels": str(tmp_path / "labels")},
            "test": {"fraction": 0.4, "seed": 0},
            "budgets": [1, 2],
            "strategies": ["strided"],
            "selection_seeds": {"default": 1},
            "classes": {"a": 1, "b": 2},
            "segmenter": {"name": "unet", "iterations": 1, "features": 4, "patch": 16},
        }
    )


def features(pool, entry):
    rng = np.random.default_rng(0)
    return FeatureTable(pool.case_ids, rng.normal(size=(len(pool), 4)), rng.random(len(pool)))


@pytest.mark.slow
def test_a_study_on_a_disk_that_fills_says_so_and_ends_with_the_scores_of_an_undisturbed_one(
    plan,
    tmp_path,
    small_disk,  # noqa: F811
):
    whole = study(plan, tmp_path / "whole", HERE, features)
    place, resize = small_disk
    out, reasons = place / "out", set()
    for kib in KIB:
        resize(f"{kib}k")
        with pytest.raises(DataError, match=r"The disk is full(.|\n)*run the same command again"):
            study(plan, out, HERE, features)
        assert not (out / "manifest.json").exists()
        results = (out / "work" / "cells" / "results").glob("*.json")
        told = [json.loads(path.read_text()) for path in results]
        reasons |= {result["reason"] for result in told if result["status"] == "failed"}
        if (out / "cells.csv").exists():
            cells = pd.read_csv(out / "cells.csv", keep_default_na=False)
            reasons |= set(cells.loc[cells["status"] == "failed", "reason"])
    assert reasons
    assert all("disk is full" in reason for reason in reasons), reasons
    resize("50m")
    assert study(plan, out, HERE, features).failed == 0
    assert (out / "scores.parquet").read_bytes() == (tmp_path / "whole" / "scores.parquet").read_bytes()
    assert len(whole.scores) == 2 * 2 * 2
    assert not list(place.rglob("*.tmp"))
