"""Bad labels in a study: what no model can make up for is said before any training, the rest is a recorded failure."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.segmentation.grids import Grid, read_labels, write_labels
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.running.run import Run, Settings
from firstscan.store import open_workspace
from firstscan.study.data import read_data
from firstscan.study.plan import plan_of
from firstscan.study.prepared import fingerprints
from firstscan.study.run import study

HERE = Settings(workers=1)


def read(plan, folder):
    """Return the data of a plan."""
    with open_workspace(folder / "reading") as workspace:
        return read_data(plan, Run(workspace, HERE))


@pytest.fixture
def world(study_world, tmp_path, monkeypatch):
    """A cohort of one's own with names for its classes, its plan, and which trainings began."""
    scans = tmp_path / "scans"
    shutil.copytree(study_world.cohort, scans)
    study_world.labels = scans / "labels"
    both = {"source": str(scans / "images"), "labels": str(scans / "labels")}
    study_world.plan = plan_of(
        study_world.content(pool=both, classes={"ball": 1, "core": 2}, strategies=["random", "strided"])
    )
    data = read(study_world.plan, tmp_path)
    study_world.pool_ids, study_world.test_ids = data.pool.case_ids, data.test.case_ids
    study_world.trained, real = [], Unet.train

    def train(self, dataset, model, **kwargs):
        study_world.trained.append(dataset)
        return real(self, dataset, model, **kwargs)

    monkeypatch.setattr(Unet, "train", train)
    return study_world


def change(path, edit=lambda values: values, **grid):
    values, old = read_labels(path)
    fields = {name: getattr(old, name) for name in ("shape", "spacing_mm", "origin_mm", "direction")}
    write_labels(edit(values), Grid(**{**fields, **grid}), path)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda path: change(path, lambda v: np.where(v == 2, 7, v)), r"the label map holds \[7\]"),
        (lambda path: change(path, spacing_mm=(2.0, 1.0, 1.0)), "another geometry than the scan: spacing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is cut short"),
        (lambda path: path.write_bytes(b"no image"), "cannot be read as an image"),
    ],
)
def test_a_test_set_that_cannot_be_scored_is_said_before_anything_is_trained(world, tmp_path, fault, words):
    spoilt = world.test_ids[1]
    fault(world.labels / f"{spoilt}.nii.gz")
    with pytest.raises(DataError, match=rf"1 of 3 test cases cannot be scored(.|\n)*{spoilt}: .*{words}"):
        study(world.plan, tmp_path / "o", HERE, world.features)
    assert not world.trained


def test_classes_with_gaps_are_refused_at_once(world, tmp_path):
    with pytest.raises(DataError, match=r"ball = 1, core = 3; segmenters need the values 1, 2, 3"):
        read(world.plan.model_copy(update={"classes": {"ball": 1, "core": 3}}), tmp_path)


def test_negative_values_are_refused_by_the_scan_that_holds_them(world, tmp_path):
    from firstscan.segmentation.grids import sitk

    path = world.labels / f"{world.pool_ids[0]}.nii.gz"
    image = sitk().Cast(sitk().ReadImage(str(path)), sitk().sitkInt16)
    image[0, 0, 0] = -1
    sitk().WriteImage(image, str(path))
    with pytest.raises(DataError, match=f"{world.pool_ids[0]}: the label map holds the value -1"):
        read(world.plan.model_copy(update={"classes": {}}), tmp_path)


def test_a_label_map_that_is_added_later_costs_its_own_trainings_only(world, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    for case_id in world.pool_ids[:3]:
        (world.labels / f"{case_id}.nii.gz").rename(kept / f"{case_id}.nii.gz")
    first = study(world.plan, tmp_path / "o", HERE, world.features)
    assert 0 < first.failed < first.cells
    cells = pd.read_csv(tmp_path / "o" / "cells.csv", keep_default_na=False)
    said = set(cells.loc[cells["status"] == "failed", "reason"])
    assert all("have no label map: case" in reason and "--overwrite" in reason for reason in said)
    done = {tuple(sorted(p.split())) for p in cells.loc[cells["status"] == "ok", "picks"]}
    every = {tuple(sorted(p.split())) for p in cells["picks"]}
    assert len(world.trained) == len(done)
    for path in kept.iterdir():
        path.rename(world.labels / path.name)
    with pytest.raises(UsageError, match="--overwrite"):
        study(world.plan, tmp_path / "o", HERE, world.features)
    assert study(world.plan, tmp_path / "o", Settings(workers=1, overwrite=True), world.features).failed == 0
    assert len(world.trained) == len(every)
    study(world.plan, tmp_path / "fresh", HERE, world.features)
    scores = [(tmp_path / name / "scores.parquet").read_bytes() for name in ("o", "fresh")]
    assert scores[0] == scores[1]


def test_a_class_that_no_pick_holds_is_recorded_and_told(world, tmp_path):
    for case_id in world.pool_ids:
        change(world.labels / f"{case_id}.nii.gz", lambda values: np.minimum(values, 1))
    result = study(world.plan, tmp_path / "o", HERE, world.features)
    assert result.failed == 0
    assert set(pd.read_csv(tmp_path / "o" / "cells.csv")["absent_classes"]) == {"core"}
    page = (tmp_path / "o" / "study.html").read_text()
    assert "Classes that no pick shows" in page
    assert "3 of 3" in page


def test_failures_of_one_kind_stand_in_one_row_of_the_page(world, tmp_path):
    study(world.plan.model_copy(update={"budgets": (1, 50)}), tmp_path / "o", HERE, world.features)
    page = (tmp_path / "o" / "study.html").read_text()
    assert page.count("found 50") == 2
    assert "0, 1, 2" in page
    assert "4 of 8 cells failed" in page


def test_what_a_result_depends_on_knows_channels_and_columns(world, tmp_path):
    data = read(world.plan, tmp_path)
    before, case_id = fingerprints(data), world.pool_ids[0]
    cases = {case.case_id: case for case in data.pool}
    other = replace(cases[case_id], channels=(replace(cases[case_id].channels[0], name="T1w", component=1),))
    changed = fingerprints(replace(data, pool=replace(data.pool, cases=(*(cases | {case_id: other}).values(),))))
    assert {name for name in before if before[name] != changed[name]} == {f"pool {case_id}"}
    other = replace(cases[case_id], metadata={"site": "N"})
    changed = fingerprints(replace(data, pool=replace(data.pool, cases=(*(cases | {case_id: other}).values(),))))
    assert {name for name in before if before[name] != changed[name]} == {f"pool columns {case_id}"}


def test_a_strategy_may_be_called_anything(world, tmp_path):
    plan = world.content(
        pool=world.plan.pool.model_dump(), strategies=["random", {"name": "strided", "label": "null"}], budgets=[1]
    )
    done = study(plan_of({**plan, "classes": {"ball": 1, "core": 2}}), tmp_path / "o", HERE, world.features)
    assert done.failed == 0
    assert "null" in (tmp_path / "o" / "study.html").read_text()
