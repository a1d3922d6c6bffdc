"""Axes that rounding moved, sheared grids, units and gzip members, against nibabel and SimpleITK."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import head

from firstscan.domain.case import Case, Channel
from firstscan.imaging import inspect, inspect_header
from firstscan.imaging.channels import read_header
from firstscan.imaging.formats.nifti import nifti_header
from firstscan.imaging.reading import read_raw
from firstscan.segmentation.grids import read_labels

SHAPE = (20, 22, 18)


def case(path) -> Case:
    return Case("a", (Channel("image", str(path)),))


def crooked(by: float, spacing=(1.0, 1.2, 2.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, by, 0], [-by / 7, 1, 0.7 * by], [0, -0.2 * by, 1]]) * spacing
    affine[:3, 3] = 10, 20, 5
    return affine


def save_sform(path, affine, *, qform=None, voxels=None, units="mm"):
    image = nibabel.Nifti1Image(head(SHAPE) if voxels is None else voxels, None)
    image.header.set_xyzt_units(units)
    image.header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0))
    image.set_sform(affine, 1)
    image.set_qform(qform, 0 if qform is None else 1)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("by", [2e-4, 1.5e-3, 8e-3])
def test_axes_that_rounding_moved_are_made_right(tmp_path, by):
    path = save_sform(tmp_path / "a.nii.gz", crooked(by))
    raw = read_raw(case(path))
    axes = raw.affine[:3, :3] / raw.spacing_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    theirs = nibabel.as_closest_canonical(nibabel.load(path))
    np.testing.assert_allclose(raw.voxels[0], theirs.get_fdata(dtype=np.float32)[::-1, ::-1])
    corners = np.array([[0, 0, 0, 1], [*(np.array(SHAPE) - 1), 1]]).T
    flipped = np.diag([-1.0, -1, 1, 1]) @ theirs.affine
    turned = corners.copy()
    turned[:2] = np.array(SHAPE[:2])[:, None] - 1 - turned[:2]
    np.testing.assert_allclose(raw.affine @ corners, flipped @ turned, atol=by * 50 + 1e-4)
    for findings in (inspect(case(path))[1], inspect_header(case(path))):
        (finding,) = (f for f in findings if f.code == "axes-repaired")
        assert finding.severity == "note"
        assert by / 3 < finding.measured < by * 2
    quick, slow = nifti_header(path), read_header(Channel("image", str(path)))
    np.testing.assert_allclose(quick.origin_mm, slow.origin_mm)
    save_sform(path, crooked(by), voxels=np.ones(SHAPE, np.uint8))
    assert read_labels(path)[1].shape == SHAPE


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_sheared_grids_are_told_as_such(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "nii.gz":
        save_sform(path, crooked(0.05))
    else:
        image = sitk.GetImageFromArray(head(SHAPE).T)
        image.SetDirection([1, 0.1, 0, 0, 1, 0, 0, 0, 1])
        sitk.WriteImage(image, str(path))
    for findings in (inspect(case(path))[1], inspect_header(case(path))):
        (finding,) = findings
        assert (finding.code, finding.severity) == ("not-orthogonal", "drop")
        assert "not at right angles" in finding.message
        assert "resample" in finding.remedy


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_rounded_axes_of_other_formats_are_repaired(tmp_path, ending):
    image = sitk.GetImageFromArray(head(SHAPE).T)
    image.SetDirection([1, 0.004, 0, 0, 1, 0, 0, 0, 1])
    sitk.WriteImage(image, str(tmp_path / f"a.{ending}"))
    summary, findings = inspect(case(tmp_path / f"a.{ending}"))
    assert summary is not None
    assert "axes-repaired" in {f.code for f in findings}


def test_a_sheared_sform_does_not_count_beside_a_good_qform(tmp_path):
    path = save_sform(tmp_path / "a.nii.gz", crooked(0.2), qform=np.diag([1.0, 1.2, 2.0, 1.0]))
    raw = read_raw(case(path))
    np.testing.assert_allclose(raw.affine[:3, :3], np.diag([1, 1.2, 2]), atol=1e-6)
    np.testing.assert_allclose(nifti_header(path).direction, (-1, 0, 0, 0, -1, 0, 0, 0, 1), atol=1e-6)
    assert "not-orthogonal" not in {f.code for f in inspect(case(path))[1]}


@pytest.mark.parametrize(("units", "scale"), [("meter", 1e-3), ("micron", 1e3), ("mm", 1.0)])
def test_units_are_heeded(tmp_path, units, scale):
    affine = np.diag([1.0, 1.2, 2.0, 1.0])
    affine[:3, 3] = 10, 20, 5
    affine[:3] *= scale
    path = save_sform(tmp_path / "a.nii.gz", affine, qform=affine, units=units)
    quick, slow = nifti_header(path), read_header(Channel("image", str(path)))
    assert quick.spacing_mm == pytest.approx((1, 1.2, 2))
    assert slow.spacing_mm == pytest.approx((1, 1.2, 2))
    np.testing.assert_allclose(quick.origin_mm, slow.origin_mm, rtol=1e-5)
    for findings in (inspect(case(path))[1], inspect_header(case(path))):
        assert not {f.code for f in findings} - {"cut-off"}


@pytest.mark.parametrize("at", [1, 2, 200, 352, 5000, 20000])
def test_gzip_files_of_several_members_are_read(tmp_path, at):
    voxels = head(SHAPE)
    whole = nibabel.Nifti1Image(voxels, np.diag([1.0, 1, 2, 1])).to_bytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(whole[:at]) + gzip.compress(whole[at:]) + b"\0" * 10)
    np.testing.assert_array_equal(read_raw(case(path)).voxels[0], voxels[::-1, ::-1])
    assert nifti_header(path).shape == SHAPE
    path.write_bytes(gzip.compress(whole[:at]) + gzip.compress(whole[at:])[:-30])
    assert "truncated" in {f.code for f in inspect(case(path))[1]}
