"""Label maps in which only some slices are annotated: on the way out, on the way back, and wherever they are scored."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.domain.slices import ScanGeometry, outside_ignored
from firstscan.segmentation.dataset import read_dataset
from firstscan.segmentation.grids import Grid, read_labels, write_labels
from firstscan.selection.slices.planning import plan_slices
from firstscan.selection.slices.settings import Slicing
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.label_maps import read_classes, read_ignore, read_label_names
from firstscan.steps.annotating.tool_folder import HandoffConfig
from firstscan.steps.collecting.agreement import by_majority, compare
from firstscan.steps.collecting.collect import CollectConfig, run_collect
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.training.evaluate import evaluate
from firstscan.store import write_selection

NOW = Settings(workers=1)
GRID = Grid((8, 7, 12), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
CLASSES = {"organ": 1}
IGNORE = 2


@pytest.fixture
def world(tmp_path):
    """Two scans, every 4th slice planned; ``slices`` are those of the first."""
    for folder in ("images", "results"):
        (tmp_path / folder).mkdir()
    for case_id in ("a", "b"):
        write_labels(np.full(GRID.shape, 7), GRID, tmp_path / "images" / f"{case_id}.nii.gz")
    box = ((0, 7), (0, 6), (0, 11))
    scans = [ScanGeometry(i, GRID.shape, GRID.spacing_mm, GRID.direction, GRID.origin_mm, box) for i in ("a", "b")]
    plan = plan_slices(scans, Slicing(every=4))
    picks = tuple(Pick(c, i, None, None, None, None, "why") for i, c in enumerate(("a", "b"), 1))
    write_selection(tmp_path / "results", Selection(picks, "random", 1, 2, slices=plan), {}, "0")
    return SimpleNamespace(root=tmp_path, results=tmp_path / "results", slices=plan.cases[0].indices)


def hand(world, name="out", **config):
    config = {"target": "itksnap", "classes": CLASSES, **config}
    scans = IndexConfig(source=str(world.root / "images"))
    run_handoff(world.results, HandoffConfig(**config), world.root / name, NOW, scans=scans)
    return world.root / name


def change(path, by):
    """Change a label map by slice: ``by`` maps a stored slice to the value that a corner of it gets."""
    labels, grid = read_labels(path)
    for index, value in by.items():
        labels[:, :, index] = 0 if value != IGNORE else IGNORE
        labels[2:4, 2:4, index] = value
    write_labels(labels, grid, path)


def annotated(path):
    labels = read_labels(path)[0]
    return [i for i in range(labels.shape[2]) if (labels[:, :, i] != IGNORE).any()]


def test_a_map_that_leaves_out_a_planned_slice_says_which_and_keeps_what_else_was_done(world):
    out = hand(world)
    first, second, last = world.slices
    change(out / "segmentations" / "a.nii.gz", {first: 1, second: IGNORE, last: 1, last - 1: 1})
    done = run_collect([out], CollectConfig(), world.root / "in", NOW)
    missing = next(f for f in done.findings if f.code == "slices-missing")
    assert (missing.case_id, missing.severity) == ("a", "warn")
    assert f"1 (number {second + 1}) of 3 planned slices still ignored" in missing.message
    assert annotated(done.labels[0].path) == sorted([first, last, last - 1]), "what was done besides the plan is kept"


def test_a_planned_slice_with_nothing_marked_is_taken_only_when_that_is_confirmed(world):
    out = hand(world)
    first, second, last = world.slices
    change(out / "segmentations" / "a.nii.gz", {first: 1, last: 1})
    asked = run_collect([out], CollectConfig(), world.root / "in", NOW)
    empty = next(f for f in asked.findings if f.code == "slices-empty" and f.case_id == "a")
    assert f"nothing is marked in 1 (number {second + 1}) of 3 planned slices" in empty.message
    assert "--confirm-empty" in empty.remedy
    assert annotated(asked.labels[0].path) == [first, last]
    sure = run_collect([out], CollectConfig(confirm_empty=True), world.root / "sure", NOW)
    assert not [f for f in sure.findings if f.code == "slices-empty" and f.case_id == "a"]
    assert annotated(sure.labels[0].path) == list(world.slices)
    assert (read_labels(sure.labels[0].path)[0][:, :, second] == 0).all()


def test_an_ignore_value_that_is_also_a_class_is_refused_wherever_label_maps_are_read(world, tmp_path):
    out = hand(world)
    change(out / "segmentations" / "a.nii.gz", dict.fromkeys(world.slices, 1))
    both = {"organ": 1, "tumour": IGNORE}
    said = r"value 2 what nobody annotated, and the class list calls 2 'tumour'.*unannotated voxels hold 3"
    with pytest.raises(UsageError, match=said):
        run_collect([out], CollectConfig(classes=both), tmp_path / "in", NOW)
    run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    with pytest.raises(UsageError, match=said):
        hand(world, "again", labels=tmp_path / "in", classes=both)
    labels = tmp_path / "in" / "Dataset001_firstscan" / "labelsTr"
    with pytest.raises(UsageError, match=said):
        evaluate(labels, labels, classes=both)
    told = {"labels": {"background": 0, **both, "ignore": IGNORE}}
    (tmp_path / "dataset.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match="nnU-Net wants the highest of all, here 3"):
        read_label_names(tmp_path / "dataset.json")


@pytest.mark.parametrize("planned", [True, False])
def test_sliced_labels_that_are_handed_on_keep_what_is_ignored_and_say_so(world, tmp_path, planned):
    out = hand(world)
    for name in ("a", "b"):
        change(out / "segmentations" / f"{name}.nii.gz", dict.fromkeys(range(1, 12, 4), 1))
    run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    if not planned:
        picks = tuple(Pick(c, i, None, None, None, None, "why") for i, c in enumerate(("a", "b"), 1))
        write_selection(tmp_path / "results", Selection(picks, "random", 1, 2), {}, "0")
    for labels in (tmp_path / "in", tmp_path / "in" / "labelled.csv"):
        again = hand(world, f"again-{labels.name}", target="nnunet", labels=labels, classes={})
        raw = read_dataset(again / "Dataset001_firstscan")
        assert (dict(raw.classes), raw.ignore) == (CLASSES, IGNORE)
        assert set(np.unique(read_labels(raw.cases[0].label)[0])) == {0, 1, IGNORE} - ({0, 1} if planned else set())


def test_the_names_of_labels_leave_the_ignore_value_out_of_the_classes(tmp_path):
    (tmp_path / "labelsTr").mkdir()
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": {"background": 0, "organ": 1, "ignore": 2}}))
    assert read_label_names(path) == (CLASSES, 2)
    assert (read_classes(tmp_path / "labelsTr"), read_ignore(tmp_path / "labelsTr")) == (CLASSES, 2)
    path.write_text(json.dumps({"labels": {"0": "background", "1": "organ", "2": "ignore"}}))
    assert read_label_names(path) == (CLASSES, 2)
    path.write_text(json.dumps({"labels": {"background": 0, "organ": 1}}))
    assert read_ignore(tmp_path) is None
    assert read_ignore(tmp_path / "labelsTr" / "none") is None


def sliced(values, kept):
    return outside_ignored(values, 2, tuple(kept), IGNORE)


def test_scores_agreement_and_majority_leave_ignored_voxels_out(tmp_path):
    truth = np.zeros(GRID.shape, np.int32)
    truth[2:6, 2:5] = 1
    wrong = truth.copy()
    wrong[:, :, 6:] = 1 - wrong[:, :, 6:]
    for folder in ("predicted", "labels"):
        (tmp_path / folder).mkdir()
    write_labels(wrong, GRID, tmp_path / "predicted" / "a.nii.gz")
    write_labels(sliced(truth, range(6)), GRID, tmp_path / "labels" / "a.nii.gz")
    told = {"labels": {"background": 0, **CLASSES, "ignore": IGNORE}}
    (tmp_path / "dataset.json").write_text(json.dumps(told))
    (score,) = evaluate(tmp_path / "predicted", tmp_path / "labels")
    assert (score.name, score.dice) == ("organ", 1.0), "all that is wrong lies where nobody annotated"

    files = {n: tmp_path / f"{n}.nii.gz" for n in ("one", "two", "three")}
    write_labels(sliced(truth, range(6)), GRID, files["one"])
    write_labels(sliced(wrong, range(3, 12)), GRID, files["two"])
    write_labels(sliced(truth, [6]), GRID, files["three"])
    by_pair = {(r.reader_a, r.reader_b): r.score for r in compare("a", files, CLASSES, ignore=IGNORE)}
    assert by_pair["one", "two"].dice == 1.0, "they share slices 3 to 5, where both are right"
    assert by_pair["one", "three"].status == "both_empty", "they share no slice"
    assert by_pair["two", "three"].dice == 0.0
    by_majority([*files.values()], tmp_path / "voted.nii.gz", ignore=IGNORE)
    voted = read_labels(tmp_path / "voted.nii.gz")[0]
    np.testing.assert_array_equal(voted[:, :, :6], truth[:, :, :6])
    np.testing.assert_array_equal(voted[:, :, 7:], wrong[:, :, 7:], "the only one who annotated these decides")


def test_what_nobody_annotated_stays_ignored_by_the_majority(tmp_path):
    truth = np.ones(GRID.shape, np.int32)
    for name, kept in (("one", [1]), ("two", [4])):
        write_labels(sliced(truth, kept), GRID, tmp_path / f"{name}.nii.gz")
    by_majority([tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"], tmp_path / "voted.nii.gz", ignore=IGNORE)
    assert annotated(tmp_path / "voted.nii.gz") == [1, 4]
