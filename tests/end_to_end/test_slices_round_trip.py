"""Plan by slice → hand off → paint → collect → train, for every target."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.features import FeatureTable
from firstscan.handoff.registry import targets
from firstscan.segmentation.dataset import check_dataset, read_dataset
from firstscan.segmentation.grids import Grid, read_grid, read_labels, write_labels
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.tool_folder import HandoffConfig
from firstscan.steps.collecting.collect import CollectConfig, run_collect
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.run import Settings
from firstscan.store import write_selection

NOW = Settings(workers=1)
IDS = ("a", "b", "c", "d")
CLASSES, IGNORE = {"rim": 1, "core": 2}, 3
GRID = Grid((16, 14, 12), (1.0, 1.0, 3.0), (3.0, -4.0, 5.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
WHERE = {
    "bids": "sub-{name}/anat/sub-{name}_dseg.nii.gz",
    "csv": "labels/{name}.nii.gz",
    "dicom-list": "labels/{name}.nii.gz",
    "itksnap": "segmentations/{name}.nii.gz",
    "mitk": "segmentations/{name}.nrrd",
    "monailabel": "labels/final/{name}.nii.gz",
    "nnunet": "Dataset001_firstscan/labelsTr/{name}.nii.gz",
    "slicer": "segmentations/{name}.seg.nrrd",
    "slicercart": "segmentations/{name}_seg_v01.nii.gz",
}
TABLES = {"csv", "dicom-list"}
"""Targets that hand over a list and no file that a tool opens."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four scans with thick slices, a plan of every 3rd slice of three of them, and what a reader would draw."""
    from firstscan.segmentation.grids import sitk

    root = tmp_path_factory.mktemp("sliced")
    (root / "images").mkdir()
    (root / "results").mkdir()
    rng = np.random.default_rng(0)
    x = np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"))
    truth = {}
    for case_id in IDS:
        far = np.hypot(x[0] - rng.uniform(6, 9), x[1] - rng.uniform(6, 8))
        truth[case_id] = np.where(far < 2.5, 2, np.where(far < 5, 1, 0)).astype(np.int32)
        voxels = np.array([20.0, 60.0, 90.0])[truth[case_id]] + rng.normal(0, 2, GRID.shape)
        image = sitk().GetImageFromArray(np.ascontiguousarray(voxels.astype(np.float32).T))
        image.SetSpacing(GRID.spacing_mm)
        image.SetOrigin(GRID.origin_mm)
        image.SetDirection(GRID.direction)
        sitk().WriteImage(image, str(root / "images" / f"{case_id}.nii.gz"))
    pool = fs.index(root / "images")
    table = FeatureTable(IDS, rng.normal(size=(4, 3)), rng.random(4))
    selection = fs.plan_slices(fs.select(table, 3, strategy="strided"), pool, every=3, workers=1)
    write_selection(root / "results", selection, {}, "0")
    return SimpleNamespace(root=root, plan=selection.slices, truth=truth, trained={})


def hand(world, target, out: Path):
    run_handoff(
        world.root / "results", HandoffConfig(target=target, classes=CLASSES), out, NOW,
        scans=IndexConfig(source=str(world.root / "images")),
    )  # fmt: skip


def paint(world, out: Path, *, drop_empty: bool = False):
    """Draw every planned slice into what was handed over, and save it where the tool does.

    ``drop_empty``: the tool writes the segments that were drawn and nothing else, neither background nor ignored ones.
    """
    told = json.loads((out / "handoff.json").read_text())
    for pick in told["picks"]:
        planned = world.plan.of(pick["case_id"])
        given = pick["given"] and read_labels(out / pick["given"])[0]
        drawn = np.zeros(GRID.shape, np.int32) if given is None or drop_empty else given.copy()
        at = (slice(None),) * planned.axis + (list(planned.indices),)
        drawn[at] = world.truth[pick["case_id"]][at]
        name = pick["name"].removeprefix("sub-")
        path = out / WHERE[told["target"]].format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_labels(drawn, GRID, path)


def collected(world, done):
    """Check that exactly the planned slices are annotated, and return the data set."""
    assert [f.code for f in done.findings] == []
    assert [t.case_id for t in done.labels] == [c.case_id for c in world.plan]
    for taken in done.labels:
        labels, grid = read_labels(taken.path)
        planned = world.plan.of(taken.case_id)
        stack = np.moveaxis(labels, planned.axis, 0)
        expected = np.full(stack.shape, IGNORE)
        expected[list(planned.indices)] = np.moveaxis(world.truth[taken.case_id], planned.axis, 0)[
            list(planned.indices)
        ]
        np.testing.assert_array_equal(stack, expected)
        assert not grid.difference(read_grid(world.root / "images" / f"{taken.case_id}.nii.gz"))
    assert done.no_dataset == ""
    return done.dataset


def test_every_target_is_walked():
    assert set(WHERE) == set(targets())


@pytest.mark.parametrize("target", sorted(WHERE))
def test_a_plan_by_slice_comes_back_and_is_trained_on(world, tmp_path, target):
    out = tmp_path / "out"
    hand(world, target, out)
    listed = list(csv.DictReader((out / "slices.csv").read_text().splitlines()))
    assert [(r["case_id"], int(r["index"])) for r in listed] == [(c.case_id, i) for c in world.plan for i in c.indices]
    picks = json.loads((out / "handoff.json").read_text())["picks"]
    for pick in picks:
        if target in TABLES:
            assert pick["given"] is None
            continue
        planned = world.plan.of(pick["case_id"])
        stack = np.moveaxis(read_labels(out / pick["given"])[0], planned.axis, 0)
        assert (stack[list(planned.indices)] == 0).all()
        assert (np.delete(stack, planned.indices, axis=0) == IGNORE).all()
    for path in out.rglob("*.csv"):
        for row in csv.DictReader(path.read_text().splitlines()):
            for column in {"label", "mask"} & row.keys():
                assert not row[column] or (out / row[column]).exists(), f"{path.name} names a file that is not there"

    paint(world, out)
    done = run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    dataset = collected(world, done)
    told = json.loads((dataset / "dataset.json").read_text())["labels"]
    assert told == {"background": 0, **CLASSES, "ignore": IGNORE}
    raw = read_dataset(dataset)
    assert check_dataset(raw) == ()
    content = b"".join(read_labels(case.label)[0].tobytes() for case in raw.cases)
    if content not in world.trained:  # one training for all targets whose label maps are the same
        world.trained[content] = tmp_path / "model"
        quick = Unet(iterations=2, features=4, patch=16)
        quick.train(dataset, tmp_path / "model", seed=0)
        quick.predict(tmp_path / "model", dataset / "imagesTr", tmp_path / "predicted")
        for case in raw.cases:
            found = read_labels(tmp_path / "predicted" / f"{case.name}.nii.gz")[0]
            assert IGNORE not in np.unique(found)
    assert len(world.trained) == 1


@pytest.mark.parametrize("target", ["slicer", "mitk", "itksnap"])
def test_tools_that_drop_empty_segments_and_the_ignore_value_lose_nothing(world, tmp_path, target):
    hand(world, target, tmp_path / "out")
    paint(world, tmp_path / "out", drop_empty=True)
    collected(world, run_collect([tmp_path / "out"], CollectConfig(), tmp_path / "in", NOW))
