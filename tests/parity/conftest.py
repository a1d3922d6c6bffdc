"""The stored outputs of the published implementations, one fixture value a case."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from firstscan.domain.features import FeatureTable


@dataclass(frozen=True)
class Published:
    features: FeatureTable
    strata: np.ndarray
    budget: int
    seed: int
    expected: dict[str, Any]


@pytest.fixture(params=[f"case{i:02d}" for i in range(10)])
def case(request, parity_dir) -> Published:
    manifest = json.loads((parity_dir / "manifest.json").read_text())
    entry = next(c for c in manifest["cases"] if c["case"] == request.param)
    arrays = np.load(parity_dir / f"{request.param}.npz")
    ids = tuple(f"v{i:05d}" for i in range(entry["n"]))
    features = FeatureTable(ids, arrays["embeddings"], arrays["uncertainty"], arrays["typicality"])
    return Published(features, arrays["cluster_labels"], entry["budget"], entry["seed"], entry["expected"])
