"""Label maps through the steps: layered segmentations, and files that only resemble label maps."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk

import firstscan
from firstscan.cli import run
from firstscan.domain.errors import DataError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection
from firstscan.imaging import index, write_image
from firstscan.segmentation.dataset import check_dataset, read_dataset
from firstscan.segmentation.grids import read_labels
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.tool_folder import HandoffConfig, handoff
from firstscan.steps.collecting.collect import CollectConfig, run_collect
from firstscan.steps.measuring.index import index as index_step
from firstscan.steps.running.config import CheckCommand
from firstscan.steps.running.origin import known_scans
from firstscan.steps.running.run import Settings
from firstscan.store import write_manifest, write_selection

SHAPE = (10, 9, 8)
AFFINE = np.diag([-1.0, -2.0, 1.5, 1.0])


def voxels(seed):
    return np.random.default_rng(seed).random(SHAPE).astype("float32")


def layered(path, layers, image=None):
    """Save segments A, B, … one a layer, each with the value 1, as 3D Slicer does where they overlap."""
    parts = [sitk.GetImageFromArray(np.ascontiguousarray(layer.T).astype("uint8")) for layer in layers]
    made = sitk.Compose(parts)
    if image is not None:
        made.CopyInformation(sitk.ReadImage(str(image)))
    for i in range(len(layers)):
        for key, value in (("Name", "AB"[i]), ("Layer", str(i)), ("LabelValue", "1")):
            made.SetMetaData(f"Segment{i}_{key}", value)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(made, str(path))


def blobs():
    a, b = np.zeros((2, *SHAPE), bool)
    a[2:6, 2:6, 2:6] = True
    b[4:8, 4:8, 4:8] = True
    return a, b


def chosen(*ids):
    picks = tuple(Pick(c, i, None, None, None, None, "why") for i, c in enumerate(ids, 1))
    return Selection(picks, "cscs", 1, len(ids))


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
def test_layered_segmentations_are_handed_over_and_trained_on(tmp_path, ending):
    a, b = blobs()
    for i in range(2):
        write_image(tmp_path / f"p{i}{ending}", voxels(i), AFFINE)
        layered(tmp_path / f"p{i}.seg.nrrd", (a, b), tmp_path / f"p{i}{ending}")
    pool = index(tmp_path)
    assert pool.case_ids == ("p0", "p1")
    (tmp_path / "out").mkdir()
    config = HandoffConfig(target="nnunet", labels=tmp_path)
    dataset = read_dataset(handoff(chosen("p0", "p1"), pool, config, tmp_path / "out").open_this)
    assert dict(dataset.classes) == {"class 1": 1, "class 2": 2}
    counts = np.bincount(read_labels(dataset.cases[0].label)[0].ravel())
    assert list(counts[1:]) == [np.count_nonzero(a & ~b), np.count_nonzero(b)]
    if ending == ".nrrd":
        assert check_dataset(dataset) == ()


def test_layered_segmentations_come_back(tmp_path):
    a, b = blobs()
    (tmp_path / "images").mkdir()
    (tmp_path / "results").mkdir()
    write_image(tmp_path / "images/p0.nii.gz", voxels(0), AFFINE)
    write_selection(tmp_path / "results", chosen("p0"), {}, "0")
    scans = CheckCommand(source=str(tmp_path / "images"))
    out, now = tmp_path / "out", Settings(workers=1)
    run_handoff(tmp_path / "results", HandoffConfig(target="slicer"), out, now, scans=scans)
    layered(out / "segmentations" / "p0.seg.nrrd", (a, b), out / "images" / "p0.nii.gz")
    done = run_collect([out], CollectConfig(), tmp_path / "in", now)
    assert done.findings == ()
    with (tmp_path / "in" / "labelled.csv").open() as file:
        labels = read_labels(tmp_path / "in" / next(csv.DictReader(file))["label"])[0]
    np.testing.assert_array_equal(labels, np.where(b, 2, a.astype(int)))


def test_a_scan_is_not_handed_over_as_its_own_label_map(tmp_path):
    write_image(tmp_path / "p0.nii.gz", voxels(0), AFFINE)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"1 scan\(s\) were found where label maps are expected"):
        handoff(chosen("p0"), index(tmp_path), HandoffConfig(target="csv", labels=tmp_path), tmp_path / "out")


def silent(folder):
    """Two scans, and beside one of them a label map whose name does not tell."""
    a, _ = blobs()
    for i in range(2):
        write_image(folder / f"p{i}.nii.gz", voxels(i), AFFINE)
    write_image(folder / "p0_liver.nii.gz", a.astype("uint8"), AFFINE)


def test_severity_overrules_a_look_at_the_content_through_the_steps(tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    silent(tmp_path / "scans")
    check = ["check", str(tmp_path / "scans"), "--workers", "1", "--out"]
    assert run([*check, str(tmp_path / "a")]) == 0
    said = capsys.readouterr().out
    assert "3 scan(s) found, 2 usable, 1 left out." in said
    assert "1 × looks-like-labels: p0_liver-" in said
    assert run([*check, str(tmp_path / "b"), "--severity", "looks-like-labels=note"]) == 0
    said = capsys.readouterr().out
    assert "note          1 × looks-like-labels: p0_liver\n" in said
    assert "3 scan(s) found, 3 usable." in said
    known = known_scans(tmp_path / "b")  # hand-offs index the scans again
    assert known is not None
    assert index_step(known).case_ids == ("p0", "p0_liver", "p1")


def test_severity_overrules_it_for_index_too(tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    silent(tmp_path / "scans")
    index_command = ["index", str(tmp_path / "scans"), "--workers", "1", "--out"]
    assert run([*index_command, str(tmp_path / "a")]) == 0
    assert "3 scan(s) found, 1 left out." in capsys.readouterr().out
    assert run([*index_command, str(tmp_path / "b"), "--severity", "looks-like-labels=warn"]) == 0
    assert "3 scan(s) found.\n" in capsys.readouterr().out
    with (tmp_path / "b" / "cases.csv").open() as file:
        assert [row["case_id"] for row in csv.DictReader(file)] == ["p0", "p0_liver", "p1"]
    assert run([*index_command, str(tmp_path / "c"), "--severity", "looks-like-label=warn"]) == 2
    assert "looks-like-labels" in capsys.readouterr().err
    assert firstscan.index(tmp_path / "scans", severity={"looks-like-labels": "note"}).case_ids == (
        "p0",
        "p0_liver",
        "p1",
    )


def test_hand_offs_and_results_of_earlier_versions_are_still_read(tmp_path):
    (tmp_path / "scans").mkdir()
    silent(tmp_path / "scans")
    told = {"source": str(tmp_path / "scans"), "layout": "auto", "channel": [], "only": [], "table": None}
    write_manifest(tmp_path, kind="select", version="0.3.0", config={**told, "budget": 1}, inputs={}, files=())
    known = known_scans(tmp_path)
    assert known is not None
    assert index_step(known).case_ids == ("p0", "p1")


def test_what_was_not_looked_at_is_in_the_terminal_the_table_and_the_report(tmp_path, capsys):
    from firstscan.report.privacy import nameless

    (tmp_path / "scans").mkdir()
    silent(tmp_path / "scans")
    (tmp_path / "scans" / "more.zip").write_bytes(b"PK")
    (tmp_path / "scans" / "gone.nii.gz").symlink_to("nowhere")
    assert run(["index", str(tmp_path / "scans"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "1 file(s) of formats that are not read: .zip (1)" in said
    assert "1 file(s) are links or pointers to data that is not here" in said
    with (tmp_path / "out" / "findings.csv").open() as file:
        rows = {row["code"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"format-not-read", "not-fetched", "looks-like-labels"}
    assert rows["not-fetched"]["measured"] == "1.0"
    pool: Pool = index(tmp_path / "scans")
    assert str(tmp_path) not in json.dumps([nameless(f).message for f in pool.findings])
