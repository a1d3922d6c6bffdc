"""A study of whole scans against every other slice of twice as many, at toy size, from plan to page."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import ScanGeometry
from firstscan.segmentation.dataset import read_dataset
from firstscan.segmentation.grids import read_labels
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.running.run import Settings
from firstscan.study.plan import plan_of
from firstscan.study.run import study

HERE = Settings(workers=1)
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
BOX = ((0, 17), (0, 15), (2, 13))


def features(pool, entry):
    """Features with how each scan is stored: 16 slices, of which 12 show the patient."""
    rng = np.random.default_rng(0)
    ids = pool.case_ids
    stored = [ScanGeometry(i, (18, 16, 16), (1.0, 1.0, 1.0), UPRIGHT, (0.0, 0.0, 0.0), BOX).numbers for i in ids]
    return FeatureTable(ids, rng.normal(size=(len(ids), 4)), rng.random(len(ids)), geometry=np.array(stored))


@pytest.fixture
def seen(monkeypatch):
    """The data sets that were trained on: the ignore value, and how many slices of each scan are annotated."""
    found, real = [], Unet.train

    def train(self, dataset, model, **kwargs):
        raw = read_dataset(dataset)
        maps = [read_labels(case.label)[0] for case in raw.cases]
        found.append((raw.ignore, [int((m != raw.ignore).any(axis=(0, 1)).sum()) for m in maps]))
        return real(self, dataset, model, **kwargs)

    monkeypatch.setattr(Unet, "train", train)
    return found


def test_every_other_slice_of_twice_as_many_scans_is_the_same_work_as_whole_scans(study_world, tmp_path, seen):
    content = study_world.content(
        strategies=["random"], selection_seeds={"random": 1}, annotation=["whole", {"every": 2}]
    )
    result = study(plan_of(content), tmp_path / "o", HERE, features)
    assert (result.cells, result.failed) == (2 * 2, 0)
    assert {(ignore, n) for ignore, counts in seen for n in counts} == {(None, 16), (3, 6)}
    assert result.scores.groupby("annotation").size().to_dict() == {"every 2": 12, "whole": 12}
    assert set(result.scores["label"]) == {1, 2}, "what is ignored is no class"

    costs = pd.read_csv(tmp_path / "o" / "costs.csv").groupby(["annotation", "budget"]).mean(numeric_only=True)
    for budget in (1, 2):
        sliced, whole = costs.loc["every 2", budget], costs.loc["whole", budget]
        assert (sliced["cases"], whole["cases"]) == (2 * budget, budget)
        assert sliced["slices"] == whole["slices"] == 12 * budget
        assert 0 < sliced["foreground_slices"] < sliced["slices"]
        assert (whole["minutes"], sliced["minutes"]) == (23 * budget, 28 * budget)

    page = (tmp_path / "o" / "study.html").read_text()
    for word in ('id="chart-slices-0"', 'id="chart-minutes-0"', "random (every 2) reaches with 12 slices"):
        assert word in page
    before = (tmp_path / "o" / "scores.parquet").read_bytes()
    trainings = len(seen)
    study(plan_of(content), tmp_path / "o", HERE, features)
    assert len(seen) == trainings
    assert (tmp_path / "o" / "scores.parquet").read_bytes() == before


def test_slices_cannot_be_planned_where_nobody_knows_how_scans_are_stored(study_world, tmp_path):
    content = study_world.content(strategies=["strided"], budgets=[1], annotation=["whole", {"every": 2}])
    result = study(plan_of(content), tmp_path / "o", HERE, study_world.features)
    failed = result.scores[result.scores["status"] == "failed"]
    assert failed["annotation"].tolist() == ["every 2"]
    assert "does not tell how scans are stored" in failed["reason"].iloc[0]


def test_label_maps_whose_ignore_value_is_a_class_are_refused_before_any_training(study_world, tmp_path, seen):
    labels = tmp_path / "labels"
    labels.mkdir()
    for path in (study_world.cohort / "labels").iterdir():
        (labels / path.name).write_bytes(path.read_bytes())
    (labels / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "ring": 1, "ignore": 2}}))
    content = study_world.content(classes={"ring": 1, "ball": 2}, annotation=[{"every": 2}])
    content["pool"]["labels"] = str(labels)
    with pytest.raises(UsageError, match="the class list calls 2 'ball'"):
        study(plan_of(content), tmp_path / "o", HERE, features)
    assert seen == []
