import json

import numpy as np
import pytest
import SimpleITK as sitk

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection
from firstscan.imaging import write_image
from firstscan.segmentation.dataset import check_dataset, read_dataset
from firstscan.segmentation.grids import Grid, read_grid, read_labels, write_labels
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.label_maps import find_classes, match_labels, read_classes
from firstscan.steps.annotating.tool_folder import HandoffConfig, handoff
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.training.evaluate import evaluate, run_evaluate, write_scores
from firstscan.steps.training.train import run_train, train
from firstscan.store import write_selection

AFFINE = np.diag([1.0, 2.0, 1.5, 1.0])


def scans(folder, ending, labels="_seg"):
    """Two scans whose voxels run against the canonical axes, with labels of the same grid."""
    affine = AFFINE * np.array([-1, -1, 1, 1])[:, None]
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for part, suffix in (("images", ""), ("labels", labels)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            voxels = rng.integers(0, 3, (10, 9, 8)).astype("uint8" if part == "labels" else "float32")
            write_image(folder / part / f"{name}{suffix}{ending}", voxels, affine)
    cases = tuple(Case(n, (Channel("T1", str(folder / "images" / f"{n}{ending}")),)) for n in ("a", "b"))
    return Pool(str(folder / "images"), cases)


def chosen():
    return Selection(
        (Pick("b", 1, None, None, None, None, "x"), Pick("a", 2, None, None, None, None, "y")), "cscs", 1, 2
    )


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_any_format_becomes_a_dataset_that_trains(tmp_path, ending):
    pool = scans(tmp_path, ending)
    out = tmp_path / "out"
    out.mkdir()
    handed = handoff(chosen(), pool, HandoffConfig(target="nnunet", labels=tmp_path / "labels"), out)
    dataset = read_dataset(handed.open_this)
    assert check_dataset(dataset) == ()
    assert dict(dataset.classes) == {"class 1": 1, "class 2": 2}
    train(handed.open_this, tmp_path / "m", Unet(iterations=1, features=4, patch=16))
    assert (tmp_path / "m" / "unet.pt").exists()


def test_nnunet_is_handed_label_maps_on_the_arrays_of_their_scans(tmp_path):
    """It looks at arrays alone: a label map that is stored flipped would be learnt mirrored."""
    pool = scans(tmp_path, ".nii.gz")
    flipped, moved = (tmp_path / "labels" / f"{name}_seg.nii.gz" for name in "ab")
    want, grid = read_labels(flipped)
    image = sitk.DICOMOrient(sitk.ReadImage(str(flipped)), "PIR")
    sitk.WriteImage(image, str(flipped))
    (tmp_path / "out").mkdir()
    config = HandoffConfig(target="nnunet", labels=tmp_path / "labels")
    dataset = read_dataset(handoff(chosen(), pool, config, tmp_path / "out").open_this)
    labels, placed = read_labels(next(c.label for c in dataset.cases if c.name == "a"))
    np.testing.assert_array_equal(labels, want)
    assert placed.is_same(grid)
    write_labels(*((labels, Grid(grid.shape, grid.spacing_mm, (9.0, 9.0, 9.0), grid.direction))), moved)
    (tmp_path / "again").mkdir()
    with pytest.raises(DataError, match=r"1 label map\(s\) do not lie on the voxels of their scans: b: origin"):
        handoff(chosen(), pool, config, tmp_path / "again")


def test_conversion_keeps_positions_in_space(tmp_path):
    pool = scans(tmp_path, ".nrrd")
    out = tmp_path / "out"
    out.mkdir()
    handed = handoff(chosen(), pool, HandoffConfig(target="nnunet"), out)
    grid = read_grid(handed.open_this / "imagesTr" / "a_0000.nii.gz")
    assert grid.spacing_mm == pytest.approx((1.0, 2.0, 1.5))
    assert grid.origin_mm == pytest.approx((-9.0, -16.0, 0.0))


def test_the_command_refuses_a_folder_in_use_and_repeats_itself(tmp_path):
    pool = scans(tmp_path, ".nii.gz")
    results, out = tmp_path / "results", tmp_path / "out"
    results.mkdir()
    write_selection(results, chosen(), {c.case_id: c.paths for c in pool}, "0")
    config = HandoffConfig(target="csv")
    source = str(tmp_path / "images")
    run_handoff(results, config, out, Settings(), scans=IndexConfig(source=source))
    first = (out / "picks.csv").read_bytes()
    run_handoff(results, config, out, Settings(), scans=IndexConfig(source=source))
    assert (out / "picks.csv").read_bytes() == first
    assert json.loads((out / "manifest.json").read_text())["kind"] == "handoff"
    with pytest.raises(UsageError, match="--overwrite"):
        run_handoff(results, HandoffConfig(target="slicer"), out, Settings(), scans=IndexConfig(source=source))
    run_handoff(
        results, HandoffConfig(target="slicer"), out, Settings(overwrite=True), scans=IndexConfig(source=source)
    )
    assert not (out / "picks.csv").exists()
    with pytest.raises(UsageError, match="unknown target"):
        run_handoff(
            results, HandoffConfig(target="word"), tmp_path / "o2", Settings(), scans=IndexConfig(source=source)
        )


def test_nothing_that_came_after_a_hand_off_is_removed(tmp_path):
    pool = scans(tmp_path, ".nii.gz")
    results, out = tmp_path / "results", tmp_path / "out"
    results.mkdir()
    write_selection(results, chosen(), {c.case_id: c.paths for c in pool}, "0")
    where = IndexConfig(source=str(tmp_path / "images"))
    first = run_handoff(results, HandoffConfig(target="monailabel"), out, Settings(), scans=where)
    drawn = out / "labels" / "final" / "001_b.nii.gz"
    drawn.write_bytes(b"hours of work")
    (out / "datastore_v2.json").write_text("{}")
    assert run_handoff(results, HandoffConfig(target="monailabel"), out, Settings(), scans=where) == first
    assert (out / "datastore_v2.json").read_text() == "{}"
    with pytest.raises(UsageError, match=r"came after the hand-off: labels/final/001_b\.nii\.gz"):
        run_handoff(results, HandoffConfig(target="csv"), out, Settings(overwrite=True), scans=where)
    assert drawn.read_bytes() == b"hours of work"
    drawn.unlink()
    run_handoff(results, HandoffConfig(target="csv"), out, Settings(overwrite=True), scans=where)
    assert {p.name for p in out.iterdir()} == {"handoff.json", "manifest.json", "picks.csv", "work"}


def test_a_folder_of_others_is_never_cleared_and_a_killed_hand_off_is_repeated(tmp_path, monkeypatch):
    pool = scans(tmp_path, ".nii.gz")
    results, out = tmp_path / "results", tmp_path / "out"
    results.mkdir()
    write_selection(results, chosen(), {c.case_id: c.paths for c in pool}, "0")
    where, config = IndexConfig(source=str(tmp_path / "images")), HandoffConfig(target="slicer")
    with pytest.raises(UsageError, match="not a hand-off of firstscan"):
        run_handoff(results, config, tmp_path / "labels", Settings(overwrite=True), scans=where)
    assert len(list((tmp_path / "labels").iterdir())) == 2

    def killed(*_, **__):
        raise KeyboardInterrupt

    for folder, broken in (
        (out, "steps.annotating.handoff.write_manifest"),
        (tmp_path / "out2", "handoff.place.place_file"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"firstscan.{broken}", killed)
            with pytest.raises(KeyboardInterrupt):
                run_handoff(results, config, folder, Settings(), scans=where)
    for folder in (out, tmp_path / "out2"):
        handed = run_handoff(results, config, folder, Settings(), scans=where)
        assert handed.open_this.is_file()
        assert json.loads((folder / "manifest.json").read_text())["kind"] == "handoff"


def test_evaluate_matches_files_and_writes_a_table(tmp_path):
    scans(tmp_path, ".nii.gz")
    scores = evaluate(tmp_path / "labels", tmp_path / "labels")
    assert [(s.case_id, s.label, s.dice) for s in scores][:2] == [("a_seg", 1, 1.0), ("a_seg", 2, 1.0)]
    path = write_scores(tmp_path / "o", scores)
    lines = path.read_text().splitlines()
    assert lines[0] == "case_id,label,class,dice,hd95_mm,nsd,status"
    assert len(lines) == 5


def test_evaluate_names_what_is_missing(tmp_path):
    scans(tmp_path, ".nii.gz")
    (tmp_path / "labels" / "b_seg.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 prediction\(s\) have no label map.*: b"):
        evaluate(tmp_path / "images", tmp_path / "labels")
    with pytest.raises(DataError, match="holds no prediction"):
        evaluate(tmp_path, tmp_path / "labels")


def test_two_predictions_of_one_name_are_refused(tmp_path):
    """SimpleITK, asked for a.nii.gz, reads the voxels of an a.nii beside it."""
    scans(tmp_path, ".nii.gz")
    twice = tmp_path / "labels" / "b_seg.nii"
    write_labels(np.zeros((4, 4, 4), np.int32), Grid((4,) * 3, (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel())), twice)
    with pytest.raises(DataError, match=r"two predictions of one name.*b_seg\.nii and b_seg\.nii\.gz"):
        evaluate(tmp_path / "labels", tmp_path / "labels")
    for read in (read_labels, read_grid):
        with pytest.raises(DataError, match=r"b_seg\.nii\.gz lies beside b_seg\.nii"):
            read(tmp_path / "labels" / "b_seg.nii.gz")


def test_a_class_that_only_a_prediction_holds_is_scored(tmp_path):
    grid = Grid((4,) * 3, (1.0,) * 3, (0.0,) * 3, tuple(float(v) for v in np.eye(3).ravel()))
    for folder, values in (("predictions", (1, 2)), ("labels", (1,))):
        (tmp_path / folder).mkdir()
        voxels = np.zeros((4, 4, 4), np.int32)
        for value in values:
            voxels[value] = value
        write_labels(voxels, grid, tmp_path / folder / "a.nii.gz")
    scores = evaluate(tmp_path / "predictions", tmp_path / "labels")
    assert [(s.label, s.dice, s.status) for s in scores] == [(1, 1.0, "ok"), (2, 0.0, "one_empty")]


@pytest.mark.parametrize(
    ("label", "case_id"),
    [("a", "a"), ("a_seg", "a"), ("a-seg", "a"), ("a_dseg", "a_T2w"), ("a_label", "a"), ("a_mask", "a_image")],
)
def test_labels_are_matched_by_name(tmp_path, label, case_id):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"{label}.nii.gz").write_bytes(b"x")
    assert match_labels(tmp_path, [case_id, "other"]) == {case_id: str(tmp_path / "deep" / f"{label}.nii.gz")}


def test_two_labels_for_one_scan_are_refused(tmp_path):
    for name in ("a.nii.gz", "a.nrrd"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match="2 label maps fit"):
        match_labels(tmp_path, ["a"])
    with pytest.raises(UsageError, match="not a folder"):
        match_labels(tmp_path / "none", ["a"])


def test_classes_of_nnunet_and_of_the_decathlon(tmp_path):
    folder = tmp_path / "labelsTr"
    folder.mkdir()
    assert read_classes(folder) == {}
    for labels in ({"background": 0, "tumour": 1}, {"0": "background", "1": "tumour"}):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
        assert read_classes(folder) == {"tumour": 1}
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="does not name its classes"):
        read_classes(folder)


def test_only_background_is_no_class(tmp_path):
    write_image(tmp_path / "a.nii.gz", np.zeros((4, 4, 4), "uint8"), np.eye(4))
    with pytest.raises(DataError, match="anything but background"):
        find_classes({"a": str(tmp_path / "a.nii.gz")}, workers=1)


def test_training_and_scoring_are_not_repeated_nor_overwritten(tmp_path, monkeypatch):
    pool = scans(tmp_path, ".nii.gz")
    (tmp_path / "data").mkdir()
    dataset = handoff(
        chosen(), pool, HandoffConfig(target="nnunet", labels=tmp_path / "labels"), tmp_path / "data"
    ).open_this
    quick, out = Unet(iterations=1, features=4, patch=16), tmp_path / "trained"
    run_train(dataset, quick, out, Settings(), seed=0)
    weights = (out / "model" / "unet.pt").stat().st_mtime_ns
    run_train(dataset, quick, out, Settings(), seed=0, images=dataset / "imagesTr")
    assert {p.name for p in (out / "predictions").iterdir()} == {"a.nii.gz", "b.nii.gz"}
    done = (out / "predictions" / "a.nii.gz").stat().st_mtime_ns
    run_train(dataset, quick, out, Settings(), seed=0, images=dataset / "imagesTr")
    assert (out / "predictions" / "a.nii.gz").stat().st_mtime_ns == done
    with pytest.raises(UsageError, match="seed: 0 → 1"):
        run_train(dataset, quick, out, Settings(), seed=1)
    (out / "manifest.json").unlink()  # as a killed training leaves it
    with pytest.raises(UsageError, match="work of other settings"):
        run_train(dataset, quick, out, Settings(), seed=1)
    run_train(dataset, quick, out, Settings(overwrite=True), seed=1)
    assert (out / "model" / "unet.pt").stat().st_mtime_ns > weights

    predictions, scores = out / "predictions", tmp_path / "scores"
    first = run_evaluate(predictions, tmp_path / "labels", scores, Settings())
    monkeypatch.setattr("firstscan.steps.training.evaluate.evaluate", None)
    assert run_evaluate(predictions, tmp_path / "labels", scores, Settings()) == first
    (tmp_path / "labels" / "a_seg.nii.gz").write_bytes((tmp_path / "labels" / "b_seg.nii.gz").read_bytes())
    with pytest.raises(UsageError, match="other content: a"):
        run_evaluate(predictions, tmp_path / "labels", scores, Settings())
