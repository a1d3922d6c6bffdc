"""Formats that only nibabel reads, held against nibabel and against the same scan as NIfTI."""

from __future__ import annotations

import bz2

import nibabel as nib
import numpy as np
import pytest
from dicoms import slices, straight
from phantoms import head, save

from firstscan.imaging import index, inspect, inspect_header, read_volume

SHAPE = (14, 16, 12)
AFFINE = np.array([[0.0, 0.0, 2.5, -10.0], [-1.0, 0.0, 0.0, 20.0], [0.0, 1.5, 0.0, 5.0], [0.0, 0.0, 0.0, 1.0]])


def write(folder, name, voxels):
    image = nib.Nifti1Image(voxels, AFFINE)
    if name.endswith(".mgz"):
        image = nib.MGHImage(voxels, AFFINE)
    elif name.endswith(".img"):
        image = nib.Nifti1Pair(voxels, AFFINE)
    nib.save(image, folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["p0.mgz", "p0.img", "p0.nii.bz2"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_voxels_and_geometry_are_those_of_nifti(tmp_path, name, dtype):
    voxels = head(SHAPE).astype(dtype)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a", name, voxels)
    write(tmp_path / "b", "p0.nii.gz", voxels)
    (mine,), (other,) = index(tmp_path / "a"), index(tmp_path / "b")
    assert mine.case_id == "p0"
    assert not index(tmp_path / "a").findings  # a header beside its voxels is looked at
    ours, theirs = read_volume(mine), read_volume(other)
    np.testing.assert_array_equal(ours.voxels, theirs.voxels)
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
    np.testing.assert_allclose(ours.spacing_mm, theirs.spacing_mm, rtol=1e-5)
    assert ours.voxels.shape[1:] == tuple(np.array(SHAPE)[[2, 0, 1]])
    summary, findings = inspect(mine)
    assert summary is not None
    assert [f.code for f in findings] == [f.code for f in inspect(other)[1]]
    assert [f.code for f in inspect_header(mine)] == [f.code for f in inspect_header(other)]


def test_scaled_voxels(tmp_path):
    image = nib.Nifti1Pair(head(SHAPE).astype(np.int16), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "p0.img")
    expected = nib.load(tmp_path / "p0.img").get_fdata()
    (case,) = index(tmp_path)
    got = read_volume(case).voxels[0]
    np.testing.assert_allclose(np.sort(got.ravel()), np.sort(expected.ravel()), rtol=1e-6)


def test_analyze_does_not_say_how_the_patient_lies(tmp_path):
    nib.save(nib.AnalyzeImage(head(SHAPE).astype(np.int16), None), tmp_path / "p0.img")
    (case,) = index(tmp_path)
    assert "orientation-missing" in {f.code for f in inspect(case)[1]}


@pytest.mark.parametrize("name", ["p0.mgz", "p0.img", "p0.nii.bz2"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_damaged_files_are_findings(tmp_path, name, damage):
    path = write(tmp_path, name, head(SHAPE))
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": bytes(range(256)) * 4}[damage])
    (case,) = index(tmp_path)
    summary, findings = inspect(case)
    assert summary is None
    assert findings[0].code in {"truncated", "unreadable"}
    assert findings[0].severity == "drop"


def test_an_img_without_header_is_no_scan(tmp_path):
    save(tmp_path / "p0.nii.gz", head(SHAPE))
    (tmp_path / "disk.img").write_bytes(b"x")
    pool = index(tmp_path)
    assert pool.case_ids == ("p0",)
    assert [f.code for f in pool.findings] == ["format-not-read"]


def test_derivatives_of_freesurfer_are_not_a_scan_each(tmp_path):
    for name in ("orig.mgz", "T1.mgz", "brainmask.mgz"):
        (tmp_path / "bert/mri").mkdir(parents=True, exist_ok=True)
        write(tmp_path / "bert/mri", name, head(SHAPE))
    pool = index(tmp_path)
    assert pool.case_ids == ("orig",)
    assert [(f.code, f.measured) for f in pool.findings] == [("format-not-read", 2.0)]


def test_rarer_formats_do_not_decide_how_a_source_is_read(tmp_path):
    save(tmp_path / "sub-01/anat/sub-01_T1w.nii.gz", head(SHAPE))
    for i in range(3):
        (tmp_path / "derivatives").mkdir(exist_ok=True)
        write(tmp_path / "derivatives", f"v{i}.mgz", head(SHAPE))
    pool = index(tmp_path)
    assert pool.layout == "bids"
    assert pool.case_ids == ("sub-01",)
    assert [(f.code, f.measured) for f in pool.findings] == [("format-not-read", 3.0)]
    voxels = np.random.default_rng(0).integers(0, 900, (9, 8, 7)).astype(np.uint16)
    slices(tmp_path / "both" / "series", voxels, straight(9))
    write(tmp_path / "both", "v.mgz", head(SHAPE))
    pool = index(tmp_path / "both")
    assert (pool.layout, pool.case_ids) == ("folder and dicom", ("series", "v"))


def test_two_compressions_of_one_name(tmp_path):
    path = write(tmp_path, "p0.nii", head(SHAPE))
    (tmp_path / "p0.nii.bz2").write_bytes(bz2.compress(path.read_bytes()))
    write(tmp_path, "p1.mgz", head(SHAPE))
    pool = index(tmp_path)
    assert pool.case_ids == ("p1",)
    assert [f.code for f in pool.findings] == ["same-name"] * 2
