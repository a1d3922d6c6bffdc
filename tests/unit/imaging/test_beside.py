"""DICOM series and files in other formats in one source."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk
from dicoms import slices, straight
from phantoms import head, save

from firstscan.audit import apply_policy
from firstscan.domain.errors import DataError
from firstscan.imaging import index, read_volume
from firstscan.steps.measuring.index import index as index_step
from firstscan.steps.running.config import IndexConfig

SHAPE = (14, 12, 10)


def series(folder, seed, **tags):
    voxels = np.random.default_rng(seed).integers(0, 900, SHAPE).astype(np.uint16)
    return slices(folder, voxels, straight(len(voxels)), series=str(seed), study=str(seed), **tags)


def converted(files, path, *, axes="LPS", scale=None, value=None):
    """Write a series as one file, as a converter does."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(f) for f in files])
    image = sitk.DICOMOrient(reader.Execute(), axes)
    if scale is not None:
        image = sitk.Cast(image, sitk.sitkFloat32) * scale
    if value is not None:
        other = sitk.GetImageFromArray(value(sitk.GetArrayFromImage(image)))
        other.CopyInformation(image)
        image = other
    sitk.WriteImage(image, str(path))


def found(pool):
    return {(f.code, f.severity, f.case_id) for f in pool.findings}


def test_both_are_taken(tmp_path):
    series(tmp_path / "p1", 1)
    series(tmp_path / "p2", 2)
    save(tmp_path / "p3.nii.gz", head((12, 14, 10)))
    pool = index(tmp_path)
    assert pool.case_ids == ("p1", "p2", "p3")
    assert pool.layout == "folder and dicom"
    assert found(pool) == set()
    assert [read_volume(case).voxels.shape[0] for case in pool] == [1, 1, 1]


def test_a_layout_takes_one_of_them_and_says_what_of_the_other(tmp_path):
    series(tmp_path / "p1", 1)
    save(tmp_path / "p3.nii.gz", head((12, 14, 10)))
    pool = index(tmp_path, layout="folder")
    assert (pool.case_ids, found(pool)) == (("p3",), {("dicom-not-taken", "warn", "")})
    pool = index(tmp_path, layout="dicom")
    assert (pool.case_ids, found(pool)) == (("p1",), {("volumes-not-taken", "warn", "")})


@pytest.mark.parametrize(("axes", "scale"), [("LPS", None), ("RAS", None), ("PIR", 0.5), ("SAL", None)], ids=str)
def test_a_converted_copy_is_told_however_it_is_stored(tmp_path, axes, scale):
    files = series(tmp_path / "p1", 1)
    series(tmp_path / "p2", 2)
    converted(files, tmp_path / "scan.nii.gz", axes=axes, scale=scale)
    pool = index(tmp_path)
    assert pool.case_ids == ("p2", "scan")
    assert found(pool) == {("converted-copy", "drop", "p1")}
    both = index(tmp_path, judged=lambda f: apply_policy(f, overrides={"converted-copy": "warn"}))
    assert both.case_ids == ("p1", "p2", "scan")
    assert index(tmp_path, layout="dicom").case_ids == ("p1", "p2")


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_what_dcm2niix_wrote_is_a_copy(tmp_path):
    oblique = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
    series(tmp_path / "p1", 1, orientation=oblique, slopes=[0.5 + i / 10 for i in range(SHAPE[0])], modality="PT")
    done = subprocess.run(
        ["dcm2niix", "-z", "y", "-f", "scan", "-o", str(tmp_path), str(tmp_path / "p1")],
        capture_output=True,
        check=False,
    )
    assert (tmp_path / "scan.nii.gz").is_file(), done.stdout
    pool = index(tmp_path)
    assert pool.case_ids == ("scan",)
    assert ("converted-copy", "drop", "p1") in found(pool)


def test_the_same_grid_alone_is_no_copy(tmp_path):
    files = series(tmp_path / "p1", 1)
    noise = np.random.default_rng(7)
    converted(files, tmp_path / "other.nii.gz", value=lambda v: noise.random(v.shape).astype(np.float32))
    assert index(tmp_path).case_ids == ("other", "p1")


def test_label_maps_of_series_are_no_scans(tmp_path):
    """By name even where every file is called so; by content where the name is silent."""
    files = series(tmp_path / "p1", 1)

    def blob(v):
        return np.where(np.indices(v.shape).sum(axis=0) < 12, 3, 0).astype(np.uint8)

    converted(files, tmp_path / "p1_seg.nii.gz", value=blob)
    pool = index(tmp_path)
    assert (pool.case_ids, found(pool)) == (("p1",), {("label-map", "note", "")})
    (tmp_path / "p1_seg.nii.gz").rename(tmp_path / "liver.nii.gz")
    pool = index(tmp_path)
    assert pool.case_ids == ("p1",)
    assert {code for code, *_ in found(pool)} == {"looks-like-labels"}
    kept = index(tmp_path, judged=lambda f: apply_policy(f, overrides={"looks-like-labels": "note"}))
    assert kept.case_ids == ("liver", "p1")
    assert found(kept) == {("looks-like-labels", "note", "liver")}


def test_one_name_of_both_kinds(tmp_path):
    series(tmp_path / "p1", 1)
    save(tmp_path / "p1.nii.gz", head((12, 14, 10)))
    assert index(tmp_path).case_ids == ("p1", "p1-dicom")


def test_neutral_names_are_the_default_as_soon_as_there_is_dicom(tmp_path):
    series(tmp_path / "Doe_John", 1)
    save(tmp_path / "p3.nii.gz", head((12, 14, 10)))
    pool = index_step(IndexConfig.of(source=str(tmp_path)))
    assert pool.pseudonyms is not None
    assert not any("Doe" in case.case_id for case in pool)


def test_only_says_which_of_both(tmp_path):
    series(tmp_path / "p1", 1)
    series(tmp_path / "p2", 2, PatientID="P9")
    save(tmp_path / "p3.nii.gz", head((12, 14, 10)))
    pool = index(tmp_path, only=["patient=P9"])
    assert pool.case_ids == ("p2",)
    assert [f.message for f in pool.findings] == [
        "1 of 1 scans beside the DICOM series do not fit --only patient=P9",
        "1 of 2 series do not fit --only patient=P9",
    ]
    with pytest.raises(DataError, match="fits --only patient=P7"):
        index(tmp_path, only=["patient=P7"])


def test_a_bids_tree_says_itself_where_its_scans_are(tmp_path):
    for i in (1, 2):
        place = tmp_path / f"sub-0{i}" / "anat"
        place.mkdir(parents=True)
        save(place / f"sub-0{i}_T1w.nii.gz", head((12, 14, 10), seed=i))
    series(tmp_path / "sourcedata" / "sub-01", 1)
    pool = index(tmp_path)
    assert (pool.layout, pool.case_ids) == ("bids", ("sub-01", "sub-02"))
    assert found(pool) == {("dicom-not-taken", "warn", "")}


def test_files_without_preamble_beside_other_formats(tmp_path):
    series(tmp_path / "p1", 1, bare="explicit", name="IM{:04d}")
    save(tmp_path / "p3.nii.gz", head((12, 14, 10)))
    assert index(tmp_path).case_ids == ("p1", "p3")
