"""Predictions as first labels: handed over as such, compared when they come back, never taken for annotations."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.handoff.trail import read_trail
from firstscan.imaging import write_image
from firstscan.segmentation.grids import read_grid, read_labels, write_labels
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.tool_folder import HandoffConfig
from firstscan.steps.collecting.collect import CollectConfig, run_collect
from firstscan.steps.collecting.corrections import summed
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.run import Settings
from firstscan.store import write_selection

NOW = Settings(workers=1)
SHAPE, AFFINE = (6, 5, 4), np.diag([1.0, 1.0, 3.0, 1.0])
WHERE = {
    "itksnap": "segmentations/{name}.nii.gz",
    "slicer": "segmentations/{name}.nii.gz",
    "mitk": "segmentations/{name}.nii.gz",
    "monailabel": "labels/final/{name}.nii.gz",
    "bids": "{name}/anat/{name}_dseg.nii.gz",
}


@pytest.fixture
def world(tmp_path):
    """Three picks; two of them have predictions: 2 × 2 voxels in every slice."""
    images, results = tmp_path / "images", tmp_path / "results"
    folder = results / "predictions"
    images.mkdir()
    folder.mkdir(parents=True)
    for case_id in "abc":
        write_image(images / f"{case_id}.nii.gz", np.random.default_rng(0).random(SHAPE).astype("float32"), AFFINE)
    ball = np.zeros(SHAPE, dtype=np.int32)
    ball[2:4, 2:4] = 1
    for case_id in "ab":
        write_labels(ball, read_grid(images / f"{case_id}.nii.gz"), folder / f"{case_id}.nii.gz")
    (folder / "predictions.csv").write_text("case_id,label,round,model\na,a.nii.gz,1,unet\nb,b.nii.gz,1,unet\n")
    (folder / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 1}}))
    picks = tuple(Pick(c, i, None, None, None, None, "why") for i, c in enumerate("abc", 1))
    write_selection(results, Selection(picks, "cscs", 1, 3), {}, "0")
    return tmp_path


def hand(world, target="itksnap", name="out", **config):
    scans = IndexConfig(source=str(world / "images"))
    config = HandoffConfig(target=target, prelabel=True, **config)
    handed = run_handoff(world / "results", config, world / name, NOW, scans=scans)
    return world / name, handed


def collect(world, folder, name="labels", **config):
    return run_collect([folder], CollectConfig(**config), world / name, NOW)


def save(folder, case_id, change, target="itksnap"):
    """Save a corrected label map where the tool saves it; over what was handed over where that is the place."""
    step = next(s for s in read_trail(folder).steps if s.case_id == case_id)
    values, grid = read_labels(step.given)
    path = folder / WHERE[target].format(name=step.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(change(values.copy()), grid, path)


def grown(values):
    values[4, 2:4, 0] = 1
    return values


@pytest.mark.parametrize("target", WHERE)
def test_predictions_are_handed_over_as_such_and_what_was_changed_is_told(world, target):
    folder, handed = hand(world, target)
    assert "2 label map(s) are predictions to correct, not annotations" in handed.message
    steps = {s.case_id: s for s in read_trail(folder).steps}
    assert [i for i, s in steps.items() if s.prediction] == ["a", "b"]
    assert read_trail(folder).classes == {"lesion": 1}
    save(folder, "a", grown, target)
    done = collect(world, folder)
    (row,) = [c for c in done.corrections if c.case_id == "a"]
    assert row.scores[0].dice == pytest.approx(2 * 16 / (16 + 18))
    assert (row.slices, row.touched, row.voxels) == (4, 1, 2)
    assert [t.case_id for t in done.labels] == ["a"]
    with (world / "labels" / "corrections.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [table[0][name] for name in ("case_id", "class", "slices_touched")] == ["a", "lesion", "1"]


def test_an_untouched_prediction_is_no_annotation_unless_confirmed(world):
    folder, _ = hand(world)
    save(folder, "a", grown)
    done = collect(world, folder)
    (found,) = [f for f in done.findings if f.code == "prediction-untouched"]
    assert (found.severity, found.case_id) == ("drop", "b")
    assert "not taken for an annotation" in found.message
    assert not [f for f in done.findings if f.code == "label-untouched"]
    sure = collect(world, folder, name="sure", confirm_untouched=True)
    assert [t.case_id for t in sure.labels] == ["a", "b"]
    (found,) = [f for f in sure.findings if f.code == "prediction-untouched"]
    assert found.severity == "note"
    assert summed(sure.corrections) == (
        "Predictions of 2 scan(s) came back: mean Dice of prediction to final 0.971, 1 of 8 slices touched (12 %)"
    )
    assert summed(()) == ""


def test_a_prediction_that_a_tool_saved_again_without_a_change_is_untouched_too(world):
    folder, _ = hand(world)
    values, _ = read_labels(folder / "segmentations" / "b.nii.gz")
    write_image(folder / "segmentations" / "b.nii.gz", values.astype("int16"), AFFINE)
    done = collect(world, folder)
    assert {f.case_id for f in done.findings if f.code == "prediction-untouched"} == {"a", "b"}
    assert done.labels == ()


def test_a_copy_that_is_gone_is_said(world):
    folder, _ = hand(world)
    save(folder, "a", grown)
    shutil.rmtree(folder / "predictions")
    done = collect(world, folder)
    assert {f.case_id for f in done.findings if f.code == "prediction-lost"} == {"a", "b"}


def test_given_labels_win_over_predictions(world):
    (world / "given").mkdir()
    label = np.zeros(SHAPE, dtype="uint8")
    label[0, 0, 0] = 1
    write_image(world / "given" / "a.nii.gz", label, AFFINE)
    folder, _ = hand(world, labels=world / "given", classes={"lesion": 1})
    steps = {s.case_id: s for s in read_trail(folder).steps}
    assert steps["a"].prediction is None
    assert (read_labels(steps["a"].given)[0] == label).all()
    assert steps["b"].prediction is not None


def test_a_prediction_that_is_gone(world):
    (world / "results" / "predictions" / "b.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 predicted label map.s. that .* lists are gone: b"):
        hand(world)


@pytest.mark.parametrize("target", ["nnunet", "csv", "dicom-list"])
def test_targets_that_take_no_predictions(world, target):
    with pytest.raises(UsageError, match=f"--prelabel --to {target}: .*; choose another target"):
        hand(world, target)


def test_no_prediction_of_what_is_handed_over(world):
    with pytest.raises(UsageError, match="holds no prediction of the scans that are handed over"):
        hand(world, without=("a", "b"))


def test_a_hand_off_without_predictions_is_read_by_older_versions(world):
    scans = IndexConfig(source=str(world / "images"))
    run_handoff(world / "results", HandoffConfig(target="itksnap"), world / "plain", NOW, scans=scans)
    hand(world, name="marked")
    versions = [json.loads((world / n / "handoff.json").read_text())["schema_version"] for n in ("plain", "marked")]
    assert versions == [1, 2]
