"""Inputs modelled on public bug reports, read as their README lines say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from firstscan.cli import run
from firstscan.domain.errors import DataError
from firstscan.imaging import index, inspect
from firstscan.steps.annotating.matching import match_labels
from firstscan.steps.training.evaluate import evaluate

pytestmark = pytest.mark.data


@pytest.fixture
def case(cases_dir):
    def named(name: str) -> Path:
        folder = cases_dir / name
        if not folder.is_dir():
            pytest.skip(f"{folder} is not there; FIRSTSCAN_TEST_CASES names the folder that holds the cases")
        return folder

    return named


def codes(pool):
    return {f.code for f in pool.findings} - {"other-files"}  # the README


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("kits-segmentation-as-scan", [f"case_{i:05d}_imaging" for i in range(3)]),
        ("label-suffixes", ["p0"]),
        ("slicer-seg-nrrd-as-scan", ["pat0", "pat1", "pat2"]),
        ("images-and-labels-one-folder", [f"pat{i}" for i in range(6)]),
    ],
)
def test_label_maps_are_no_scans(case, name, ids):
    pool = index(case(name))
    assert list(pool.case_ids) == ids
    assert "label-map" in codes(pool)


@pytest.mark.parametrize(
    "name", ["kits-segmentation-as-scan", "slicer-seg-nrrd-as-scan", "images-and-labels-one-folder"]
)
def test_every_scan_finds_its_own_label_map(case, name):
    pool = index(case(name))
    found = match_labels(case(name), pool.case_ids)
    assert set(found) == set(pool.case_ids)
    assert not set(found.values()) & {c.path for c in pool}
    assert all("seg" in Path(path).name for path in found.values())


def test_spreadsheet_habits(case):
    for name in ("spaces.csv", "semicolon_sep.csv"):
        pool = index(case("csv-habits") / name)
        assert len(pool) == 6
        assert all(Path(c.path).is_file() for c in pool)
        assert inspect(next(iter(pool)))[0] is not None


def test_series_beside_one_nifti_file_are_read(case):
    pool = index(case("dicom-hidden-by-one-nifti"))
    assert pool.case_ids == ("converted_case", "plain0", "plain1")
    assert codes(pool) == set()
    pool = index(case("dicom-hidden-by-one-nifti"), layout="folder")
    assert codes(pool) == {"dicom-not-taken"}
    assert {f.measured for f in pool.findings if f.code == "dicom-not-taken"} == {67.0}
    assert pool.case_ids == ("converted_case",)


def test_other_formats_are_read_or_counted(case):
    pool = index(case("formats-not-looked-at"))
    assert pool.case_ids == ("001", "002", "003", "m", "pair0", "z")
    assert codes(pool) == {"format-not-read"}
    assert [f.measured for f in pool.findings if f.code == "format-not-read"] == [1.0]  # the archive
    assert inspect(pool["pair0"])[0] is not None
    assert inspect(pool["z"])[0] is not None
    assert [f.code for f in inspect(pool["m"])[1]] == ["constant"]


def test_a_name_in_latin_1_costs_only_its_file(case, tmp_path):
    for path in (case("filename-not-utf8") / "bytes").iterdir():
        shutil.copy(path, tmp_path)
    try:
        os.rename(os.fsencode(tmp_path / "004.nii.gz"), os.fsencode(tmp_path) + b"/Kn\xe4e.nii.gz")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    pool = index(tmp_path)
    assert pool.case_ids == ("001", "002", "003")
    assert codes(pool) == {"name-encoding"}


def test_unfetched_scans(case, tmp_path):
    with pytest.raises(DataError, match=r"3 file\(s\) are links or pointers to data that is not here"):
        index(case("unfetched-annex"))
    shutil.copytree(case("unfetched-annex"), tmp_path / "tree", symlinks=True)
    there = tmp_path / "tree/sub-01/anat/sub-01_T1w.nii.gz"
    there.parent.chmod(0o755)
    there.unlink()
    shutil.copy(case("csv-habits") / "001.nii.gz", there)
    pool = index(tmp_path / "tree")
    assert pool.case_ids == ("sub-01",)
    assert codes(pool) == {"not-fetched"}


def test_two_unicode_forms(case):
    pool = index(case("unicode-two-forms"))
    assert len(pool) == 2
    assert codes(pool) == {"same-name"}


def test_numbered_patients(case):
    pool = index(case("zero-based-names"))
    assert pool.case_ids == tuple(f"fetus_{i:04d}" for i in range(8))
    assert codes(pool) == {"numbered-names"}


def test_predictions_against_segmentations_of_slicer(case):
    folder = case("evaluate-seg-nrrd") / "seg_nrrd"
    scores = evaluate(folder / "pred", folder / "true")
    assert {s.case_id for s in scores} == {"c0", "c1"}
    assert {s.dice for s in scores} == {1.0}


def dataset_of(case, tmp_path):
    """The label maps of ``label-geometry-rounding`` with scans 0.004 mm off, as nnU-Net keeps both."""
    folder = case("label-geometry-rounding") / "geom_rounding"
    dataset = tmp_path / "Dataset001_Rounding"
    for part in ("imagesTr", "labelsTr"):
        (dataset / part).mkdir(parents=True)
    for name in ("c0", "c1"):
        shutil.copy(folder / "pred" / f"{name}.nii.gz", dataset / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copy(folder / "true" / f"{name}.nii.gz", dataset / "labelsTr" / f"{name}.nii.gz")
    labels = {"background": 0, "anterior": 1, "posterior": 2}
    content = {"channel_names": {"0": "MR"}, "labels": labels, "numTraining": 2, "file_ending": ".nii.gz"}
    (dataset / "dataset.json").write_text(json.dumps(content))
    return dataset


def test_a_rounded_origin_is_no_other_grid(case, tmp_path, capfd):
    folder = case("label-geometry-rounding") / "geom_rounding"
    apart = [sitk.ReadImage(str(folder / part / "c0.nii.gz")).GetOrigin() for part in ("pred", "true")]
    assert np.abs(np.subtract(*apart)).max() == pytest.approx(0.004, abs=1e-4)
    assert {s.dice for s in evaluate(folder / "pred", folder / "true")} == {1.0}
    plan = ["train", str(dataset_of(case, tmp_path)), "--segmenter", "unet", "--out", str(tmp_path / "out")]
    assert run([*plan, "--option", "iterations=2", "--option", "features=4"]) == 0
    assert (tmp_path / "out" / "model" / "unet.pt").is_file()
    assert "Traceback" not in capfd.readouterr().err


def lits(case, folder, *, labels):
    """A folder as LiTS has it, of the scans and label maps that another case holds."""
    folder.mkdir()
    source = case("kits-segmentation-as-scan")
    for number in range(3):
        scan = source / f"case_{number:05d}"
        shutil.copy(scan / "imaging.nii.gz", folder / f"volume-{number}.nii.gz")
        if labels:
            shutil.copy(scan / "segmentation.nii.gz", folder / f"segmentation-{number}.nii.gz")
    return folder


@pytest.mark.slow
def test_the_plan_that_left_a_traceback_runs_to_its_end(case, tmp_path):
    """In a process of its own: what a library's thread writes after the end is seen, too."""
    told = (case("study-stray-traceback") / "plan_l2.yaml").read_text()
    folder = lits(case, tmp_path / "lits", labels=True)
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        told.replace("in/layout/lits", str(folder)).replace("budgets: [2]", "budgets: [1]").replace("fast", "instant")
    )
    done = in_a_process(["study", str(plan), "--out", str(tmp_path / "out"), "--workers", "2"])
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "summary.json").is_file() or list((tmp_path / "out").glob("*.csv"))


@pytest.mark.slow
def test_an_error_of_the_same_study_stays_one_message(case, tmp_path):
    """Scans where label maps should be: 2 of 2 runs wrote a traceback of joblib after the message."""
    told = (case("study-stray-traceback") / "plan_l2.yaml").read_text()
    scans = lits(case, tmp_path / "lits", labels=False)
    labels = tmp_path / "labels"
    labels.mkdir()
    for path in scans.iterdir():
        for copy in range(8):  # enough of them for several processes
            shutil.copy(path, labels / path.name.replace("volume-", f"volume-{copy or ''}"))
    plan = tmp_path / "plan.yaml"
    plan.write_text(told.replace("source: in/layout/lits", f"source: {scans}").replace("in/layout/lits", str(labels)))
    done = in_a_process(["study", str(plan), "--out", str(tmp_path / "out"), "--workers", "2"])
    assert done.returncode != 0
    assert "label values must be whole numbers" in done.stderr or "no label map" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def in_a_process(arguments):
    return subprocess.run(
        [sys.executable, "-m", "firstscan.cli", *arguments], capture_output=True, text=True, timeout=300, check=False
    )
