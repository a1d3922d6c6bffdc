"""Labels come back: from every kind of hand-off, checked against their scans, and compared between readers."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.imaging import write_image
from firstscan.segmentation.dataset import check_dataset, read_dataset
from firstscan.segmentation.grids import read_grid, read_labels
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.tool_folder import HandoffConfig
from firstscan.steps.collecting.agreement import mean_dice
from firstscan.steps.collecting.collect import CollectConfig, require_labels, run_collect
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.training.train import batch_behind, dataset_in
from firstscan.store import write_selection

NOW = Settings(workers=1)
AGAIN = Settings(workers=1, overwrite=True)
IDS = ("b", "a", "d", "c")
WHERE = {
    "bids": "sub-{name}/anat/{name}_dseg.nii.gz",
    "csv": "labels/{name}.nii.gz",
    "dicom-list": "labels/{name}.nii.gz",
    "itksnap": "segmentations/{name}.nii.gz",
    "mitk": "segmentations/{name}.nrrd",
    "monailabel": "labels/final/{name}.nii.gz",
    "nnunet": "Dataset001_firstscan/labelsTr/{name}.nii.gz",
    "slicer": "images/{name}.nii_segmentation.seg.nrrd",
    "slicercart": "segmentations/{name}_seg_v01.nii.gz",
}


def batch(tmp_path, ending=".nii.gz"):
    """Four scans stored against the canonical axes, a results folder that picks them, and their true labels."""
    images, results = tmp_path / "images", tmp_path / "results"
    for folder in (images, results):
        folder.mkdir()
    affine = np.diag([-1.0, -2.0, 1.5, 1.0])
    rng = np.random.default_rng(0)
    truth = {}
    for case_id in IDS:
        write_image(images / f"{case_id}{ending}", rng.random((10, 9, 8)).astype("float32"), affine)
        truth[case_id] = rng.integers(0, 3, (10, 9, 8)).astype(np.int32)
    picks = tuple(Pick(c, i, None, None, None, None, "why") for i, c in enumerate(IDS, 1))
    write_selection(results, Selection(picks, "cscs", 1, 4), {}, "0")
    return SimpleNamespace(images=images, results=results, truth=truth, affine=affine, root=tmp_path)


def hand(world, name="out", **config):
    config = {"target": "itksnap", **config}
    scans = IndexConfig(source=str(world.images))
    run_handoff(world.results, HandoffConfig(**config), world.root / name, NOW, scans=scans)
    return world.root / name


def draw(world, folder, case_ids=IDS, change=lambda values: values, reader=""):
    """Draw the truth as an annotator does: on the image of the hand-off, saved where the tool saves it."""
    part = folder / reader if reader else folder
    told = json.loads((part / "handoff.json").read_text())
    for pick in told["picks"]:
        if pick["case_id"] in case_ids:
            name = pick["name"].removeprefix("sub-") if told["target"] == "bids" else pick["name"]
            where = WHERE[told["target"]].format(name=name)
            where = where.replace("anat/", "anat/sub-") if told["target"] == "bids" else where
            (part / where).parent.mkdir(exist_ok=True)
            write_image(part / where, change(world.truth[pick["case_id"]]).astype("uint8"), world.affine)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def codes(done):
    return sorted((f.severity, f.code, f.case_id) for f in done.findings)


@pytest.mark.parametrize("target", sorted(WHERE))
def test_labels_of_every_target_come_back_and_can_be_trained_on(tmp_path, target):
    world = batch(tmp_path)
    out = hand(world, target=target)
    draw(world, out)
    done = run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    assert (done.findings, done.no_dataset) == ((), "")
    assert [t.case_id for t in done.labels] == list(IDS)
    rows = table(tmp_path / "in" / "labelled.csv")
    assert [(r["case_id"], r["rank"], r["reader"]) for r in rows] == [(c, str(i), "out") for i, c in enumerate(IDS, 1)]
    for row in rows:
        labels, grid = read_labels(tmp_path / "in" / row["label"])
        assert (labels == world.truth[row["case_id"]]).all()
        assert not grid.difference(read_grid(world.images / f"{row['case_id']}.nii.gz"))
    dataset = read_dataset(dataset_in(tmp_path / "in"))
    assert check_dataset(dataset) == ()
    assert dict(dataset.classes) == {"class 1": 1, "class 2": 2}
    assert batch_behind(tmp_path / "in") == world.results


@pytest.mark.parametrize("target", ["nnunet", "csv"])
def test_scans_in_other_formats_come_back_on_the_grid_that_they_are_trained_on(tmp_path, target):
    world = batch(tmp_path, ending=".nrrd")
    out = hand(world, target=target)
    draw(world, out)
    done = run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    assert codes(done) == []
    assert check_dataset(read_dataset(done.dataset)) == ()


def test_what_is_missing_empty_or_wrong_is_listed_and_not_taken(tmp_path):
    world = batch(tmp_path)
    out = hand(world, classes={"core": 1, "rim": 2})
    draw(world, out, ["b"], lambda values: values * 2)
    draw(world, out, ["a"], lambda values: values * 0)
    write_image(out / "segmentations" / "d.nii.gz", world.truth["d"][:-1].astype("uint8"), world.affine)
    (out / "segmentations" / "stranger.nii.gz").write_bytes(b"x")
    done = run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    assert codes(done) == [
        ("drop", "label-classes", "b"),
        ("drop", "label-empty", "a"),
        ("drop", "label-geometry", "d"),
        ("drop", "label-missing", "c"),
        ("warn", "label-unknown", ""),
    ]
    said = {f.code: f for f in done.findings}
    assert "the value 4" in said["label-classes"].message
    assert "core = 1, rim = 2" in said["label-classes"].message
    assert "10×9×8 against 9×9×8" in said["label-geometry"].message
    assert all(f.remedy for f in done.findings)
    assert (done.labels, done.no_dataset) == ((), "there is no label to train on")
    with pytest.raises(DataError, match="no label map of the 4 scans"):
        require_labels(done)
    assert table(tmp_path / "in" / "labelled.csv") == []
    allowed = run_collect([out], CollectConfig(allow_empty=True), tmp_path / "in2", NOW)
    assert [t.case_id for t in allowed.labels] == ["a"]


def test_a_damaged_file_a_fraction_and_a_shift_are_told_apart(tmp_path):
    world = batch(tmp_path)
    out = hand(world)
    (out / "segmentations" / "b.nii.gz").write_bytes(b"not an image")
    write_image(out / "segmentations" / "a.nii.gz", world.truth["a"] + 0.5, world.affine)
    shifted = world.affine.copy()
    shifted[0, 3] = 0.3
    write_image(out / "segmentations" / "d.nii.gz", world.truth["d"].astype("uint8"), shifted)
    rounded = world.affine.copy()
    rounded[0, 3] = 0.01
    write_image(out / "segmentations" / "c.nii.gz", world.truth["c"].astype("uint8"), rounded)
    done = run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    assert {f.case_id: f.code for f in done.findings} == {
        "b": "label-unreadable",
        "a": "label-unreadable",
        "d": "label-geometry",
    }
    assert [t.case_id for t in done.labels] == ["c"]


def test_segments_that_slicer_numbered_otherwise_are_found_by_their_names(tmp_path):
    world = batch(tmp_path)
    out = hand(world, target="slicer", classes={"core": 1, "rim": 2})
    for case_id, name in (("b", "Rim"), ("a", "Core")):
        image = sitk.ReadImage(str(out / "images" / f"{case_id}.nii.gz"))
        drawn = sitk.Cast(image > 0.5, sitk.sitkUInt8)
        drawn.SetMetaData("Segment0_Name", name)
        drawn.SetMetaData("Segment0_LabelValue", "1")
        sitk.WriteImage(drawn, str(out / "segmentations" / f"{case_id}.seg.nrrd"))
    done = run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    assert [t.case_id for t in done.labels] == ["a"]
    wrong = next(f for f in done.findings if f.code == "label-names")
    assert (wrong.case_id, "'Rim' has the value 1" in wrong.message) == ("b", True)


def test_readers_are_compared_and_the_first_or_the_majority_stands(tmp_path):
    world = batch(tmp_path)
    out = hand(world, target="monailabel", readers=3, overlap=2)
    assert [(r["case_id"], r["readers"]) for r in table(out / "readers.csv")] == [
        ("b", "reader1;reader2;reader3"),
        ("a", "reader1;reader2;reader3"),
        ("d", "reader1"),
        ("c", "reader2"),
    ]
    draw(world, out, reader="reader1", change=lambda v: np.where(v == 2, 1, v))
    draw(world, out, reader="reader2")
    draw(world, out, ["b"], reader="reader3")
    first = run_collect([out], CollectConfig(), tmp_path / "first", NOW)
    assert codes(first) == [("warn", "label-missing", "a")]
    assert [(t.case_id, t.reader) for t in first.labels] == [
        ("b", "reader1"),
        ("a", "reader1"),
        ("d", "reader1"),
        ("c", "reader2"),
    ]
    rows = table(tmp_path / "first" / "agreement.csv")
    assert {(r["case_id"], r["reader_a"], r["reader_b"]) for r in rows} == {
        ("b", "reader1", "reader2"),
        ("b", "reader1", "reader3"),
        ("b", "reader2", "reader3"),
        ("a", "reader1", "reader2"),
    }
    alike = {r["class"]: float(r["dice"]) for r in rows if (r["reader_a"], r["reader_b"]) == ("reader2", "reader3")}
    assert alike == {"class 1": 1.0, "class 2": 1.0}
    ones, twos = (world.truth["a"] == v for v in (1, 2))
    expected = 2 * ones.sum() / (2 * ones.sum() + twos.sum())
    apart = next(r for r in rows if r["case_id"] == "a" and r["class"] == "class 1")
    assert float(apart["dice"]) == pytest.approx(expected)
    assert mean_dice(first.agreement)["class 2"][1] == 4
    voted = run_collect([out], CollectConfig(consensus="majority"), tmp_path / "voted", NOW)
    assert [t.reader for t in voted.labels][:2] == ["reader1;reader2;reader3", "reader1;reader2"]
    assert (read_labels(voted.labels[0].path)[0] == world.truth["b"]).all()
    tied = np.where(world.truth["a"] == 2, 1, world.truth["a"])
    assert (read_labels(voted.labels[1].path)[0] == tied).all(), "where no value leads, the first reader decides"


def test_two_hand_offs_of_one_batch_make_one_list(tmp_path):
    world = batch(tmp_path)
    one, two = hand(world, "one"), hand(world, "two", target="nnunet", without=("b", "a"))
    assert [p["rank"] for p in json.loads((two / "handoff.json").read_text())["picks"]] == [3, 4]
    draw(world, one, ["b", "a", "d"])
    draw(world, two)
    done = run_collect([one, two], CollectConfig(), tmp_path / "in", NOW)
    assert [(t.case_id, t.reader) for t in done.labels] == [("b", "one"), ("a", "one"), ("d", "one"), ("c", "two")]
    assert {row.score.case_id for row in done.agreement} == {"d"}
    assert codes(done) == [("warn", "label-missing", "c")]


def test_a_collection_is_repeated_extended_and_never_overwritten(tmp_path):
    world = batch(tmp_path)
    out, into = hand(world), tmp_path / "in"
    draw(world, out, ["b", "a"])
    run_collect([out], CollectConfig(), into, NOW)
    before = {p: p.read_bytes() for p in into.rglob("*") if p.is_file() and "work" not in p.parts}
    assert len(run_collect([out], CollectConfig(), into, NOW).labels) == 2
    assert before == {p: p.read_bytes() for p in into.rglob("*") if p.is_file() and "work" not in p.parts}
    assert sum('"collect"' in line for line in (world.results / "history.jsonl").read_text().splitlines()) == 1
    draw(world, out, ["d"])
    with pytest.raises(UsageError, match=r"1 new label map\(s\): out: d"):
        run_collect([out], CollectConfig(), into, NOW)
    assert len(run_collect([out], CollectConfig(), into, AGAIN).labels) == 3
    (into / "labels" / "b.nii.gz").write_bytes(b"corrected by hand")
    with pytest.raises(UsageError, match=r"came after the collection: labels/b\.nii\.gz"):
        run_collect([out], CollectConfig(), into, AGAIN)
    with pytest.raises(UsageError, match="not a collection of firstscan"):
        run_collect([out], CollectConfig(), world.images, AGAIN)


def test_a_hand_off_that_was_moved_still_comes_back(tmp_path):
    world = batch(tmp_path)
    out = hand(world, files="copy", readers=2)
    draw(world, out, reader="reader2")
    elsewhere = tmp_path / "stick" / "reader2"
    elsewhere.parent.mkdir()
    (out / "reader2").rename(elsewhere)
    done = run_collect([elsewhere], CollectConfig(), tmp_path / "in", NOW)
    assert [(t.case_id, t.reader) for t in done.labels] == [("a", "reader2"), ("c", "reader2")]
    assert (done.results, done.dataset is not None) == (None, True)


def test_gaps_in_the_class_values_leave_the_labels_but_no_data_set(tmp_path):
    world = batch(tmp_path)
    out = hand(world)
    draw(world, out, change=lambda values: np.where(values == 2, 3, values))
    done = run_collect([out], CollectConfig(), tmp_path / "in", NOW)
    assert (len(done.labels), done.dataset) == (4, None)
    assert "without gaps" in done.no_dataset
    with pytest.raises(UsageError, match="does not hold one data set"):
        dataset_in(tmp_path / "in")


def test_wrong_usage_is_said(tmp_path):
    world = batch(tmp_path)
    out = hand(world, classes={"x": 1})
    other = hand(world, "other", classes={"y": 1})
    for given, said in (
        ([tmp_path / "none"], "not a folder"),
        ([world.images], "not a hand-off of firstscan"),
        ([out, out], "named twice"),
        ([out, other], "different class lists"),
    ):
        with pytest.raises(UsageError, match=said):
            run_collect(given, CollectConfig(), tmp_path / "in", NOW)
    with pytest.raises(UsageError, match="lies in the hand-off"):
        run_collect([out], CollectConfig(), out / "labels", NOW)
    with pytest.raises(UsageError, match="--classes"):
        CollectConfig.of(classes={"x": 0})
    with pytest.raises(UsageError, match="--without names every one"):
        hand(world, "rest", without=IDS)


def test_labels_handed_over_are_told_from_corrected_ones(tmp_path):
    world = batch(tmp_path)
    before = hand(world)
    draw(world, before)
    run_collect([before], CollectConfig(), tmp_path / "in", NOW)
    out = hand(world, "second", target="itksnap", labels=tmp_path / "in")
    draw(world, out, ["b"], lambda values: np.where(values == 1, 2, values))
    done = run_collect([out], CollectConfig(), tmp_path / "in2", NOW)
    assert codes(done) == [("note", "label-untouched", c) for c in ("a", "c", "d")]
    assert len(done.labels) == 4
    with pytest.raises(UsageError, match=r"came after the hand-off: segmentations/b\.nii\.gz"):
        run_handoff(world.results, HandoffConfig(target="csv"), out, AGAIN, scans=IndexConfig(source=str(world.images)))
