"""A small report, every part of which is generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Pick, Selection
from firstscan.report import LearnedFeatures, ReportData, TrainingRow

CASES = 24


def build(ids: tuple[str, ...] | None = None) -> ReportData:
    rng = np.random.default_rng(0)
    ids = ids or tuple(f"scan_{i:02d}" for i in range(CASES))
    n = len(ids)
    embeddings = rng.normal(size=(n, 5))
    typicality, uncertainty = rng.random(n), rng.random(n)
    features = FeatureTable(ids, embeddings, uncertainty, typicality)
    strata = {case_id: i % 4 for i, case_id in enumerate(ids)}
    picks = tuple(
        Pick(
            ids[i], i + 1, i, 0.9 - i / 10, float(typicality[i]), float(uncertainty[i]), f"most typical of stratum {i}"
        )
        for i in range(4)
    )
    selection = Selection(
        picks=picks,
        strategy="cscs",
        seed=42,
        budget=4,
        diagnostics={"dcr": 0.31, "dcr_pvalue": 0.02, "dcr_interval": [0.05, 0.55], "alpha_eff": 0.82, "gamma": 0.535},
        options={"thin_strata": "fill", "min_stratum": 3, "gamma_bounds": (0.3, 0.7)},
        strata=strata,
        scores={case_id: float(s) for case_id, s in zip(ids, rng.random(n), strict=True)},
    )
    return ReportData(
        selection=selection,
        features=features,
        source="/data/hospital/knees",
        scanned=n + 2,
        left_out=2,
        findings=(
            Finding("truncated", "drop", "lost", "'/data/hospital/knees/lost.nii' ends early", "copy it again"),
            Finding("motion", "warn", ids[1], "strong ghosting", "look at it", measured=0.4, threshold=0.25),
        ),
        thumbnails={case_id: rng.integers(0, 255, size=(3, 16, 16), dtype=np.uint8) for case_id in ids[:8]},
        history=tuple(TrainingRow(s, 2 - s / 100, 1 - s / 120, 0.8, 0.2, 1e-3) for s in range(0, 100, 10)),
        settings={"preset": "fast", "store": {"folder": "/data/hospital/out"}, "channels": ["t1", "t2"]},
        versions={"firstscan": "0.1.0"},
        learned=LearnedFeatures("conv", 48, 1.2, 0.45, 8, 400, modality="mr"),
    )


@pytest.fixture
def data() -> ReportData:
    return build()


@pytest.fixture
def named() -> Callable[[tuple[str, ...]], ReportData]:
    """Build the report with case ids of one's own."""
    return build


@pytest.fixture
def with_selection(data: ReportData) -> Callable[..., ReportData]:
    """Return the report with fields of its selection replaced."""

    def change(**fields: Any) -> ReportData:
        return replace(data, selection=replace(data.selection, **fields))

    return change
