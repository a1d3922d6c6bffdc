from __future__ import annotations

import struct

import nibabel
import numpy as np
import pytest

from firstscan.domain.case import Case, Channel
from firstscan.imaging import inspect, read_header, reading
from firstscan.imaging.formats import nifti
from firstscan.imaging.formats.nifti import nifti_voxels
from firstscan.imaging.inspection import inspect_header


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("scale", [(1.0, 0.0), (0.25, -7.0), (np.nan, np.nan)])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 3, 2)])
def test_voxels_are_those_that_nibabel_reads(tmp_path, endianness, scale, shape):
    header = nibabel.Nifti1Header(endianness=endianness)
    header.set_data_dtype(np.int16)
    stored = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    image = nibabel.Nifti1Image(stored, np.diag([-1, -2, 3, 1]), header)
    image.header.set_slope_inter(*scale)
    path = tmp_path / "a.nii.gz"
    nibabel.save(image, path)
    expected = np.asarray(nibabel.load(path).dataobj).reshape((*shape[:3], -1))
    read = nifti_voxels(path, read_header(Channel("image", str(path))))
    assert read.stored.shape == expected.shape
    for component in range(expected.shape[3]):
        found = read.volume(component)
        assert found.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected[..., component])


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_2_is_refused_by_name_in_headers_and_scans_alike(tmp_path, ending):
    path = tmp_path / f"two{ending}"
    nibabel.save(nibabel.Nifti2Image(np.ones((6, 5, 4), np.int16), np.eye(4)), path)
    case = Case("two", (Channel("image", str(path)),))
    for findings in (inspect_header(case), inspect(case)[1]):
        assert [(f.code, f.severity, f.remedy) for f in findings] == [("unreadable", "drop", "convert it to NIfTI-1")]
        assert "NIfTI-2" in findings[0].message


def damaged(path, offset, kind, value, at_end=None):
    """Write a NIfTI file with one field of its header overwritten, and return it as a case."""
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.diag([-1, -2, 3, 1]))
    nibabel.save(image, path)
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, offset, value)
    path.write_bytes(content[:at_end])
    return Case("damaged", (Channel("image", str(path)),))


@pytest.mark.parametrize(
    ("offset", "kind", "value"),
    [
        (108, "<f", np.inf),
        (108, "<f", -400.0),
        (108, "<f", 5.0),
        (48, "<h", 0),
        (300, "<f", np.inf),
        (280, "<f", np.nan),
    ],
    ids=["offset inf", "offset negative", "offset in header", "dim", "rotation inf", "rotation nan"],
)
def test_headers_without_sense_are_findings(tmp_path, offset, kind, value):
    case = damaged(tmp_path / "a.nii", offset, kind, value)
    if offset == 48:
        struct.pack_into("<h", content := bytearray((tmp_path / "a.nii").read_bytes()), 40, 4)
        (tmp_path / "a.nii").write_bytes(content)
    summary, findings = inspect(case)
    assert summary is None
    assert {f.severity for f in findings} == {"drop"}
    inspect_header(case)


def test_a_file_shorter_than_its_header_is_a_finding(tmp_path):
    case = damaged(tmp_path / "a.nii", 0, "<i", 348, at_end=200)
    assert {f.severity for f in inspect_header(case)} == {f.severity for f in inspect(case)[1]} == {"drop"}


def test_voxels_whose_place_is_not_told_follow_the_header(tmp_path):
    case = damaged(tmp_path / "a.nii", 108, "<f", 0.0)
    np.testing.assert_array_equal(reading.read_raw(case).voxels[0].ravel(), np.arange(60))


def test_one_voxel_that_is_not_finite_leaves_the_order_of_memory(tmp_path):
    image = np.random.default_rng(0).normal(100, 10, (20, 16, 12)).astype(np.float32)
    image[3, 4, 5] = np.nan
    nibabel.save(nibabel.Nifti1Image(image, np.diag([-1, -1, 1, 1])), tmp_path / "a.nii")
    volume = reading.read_volume(Case("a", (Channel("image", str(tmp_path / "a.nii")),)))
    assert volume.voxels[0].flags.f_contiguous


def test_a_file_of_several_channels_is_inflated_once(tmp_path, monkeypatch):
    path = tmp_path / "four.nii.gz"
    stored = np.random.default_rng(0).normal(size=(6, 5, 4, 4)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(stored, np.diag([-1, -1, 1, 1])), path)
    opened = []
    content = nifti._content
    monkeypatch.setattr(nifti, "_content", lambda *given: opened.append(given) or content(*given))
    case = Case("four", tuple(Channel(f"c{i}", str(path), component=i) for i in range(4)))
    raw = reading.read_raw(case)
    np.testing.assert_array_equal(raw.voxels, np.moveaxis(stored, 3, 0))
    assert len(opened) == 1


def test_channels_whose_rotation_differs_by_a_rounding_are_turned_alike(tmp_path):
    stored = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    names = {"a": 45 - 1e-4, "b": 45 + 1e-4}
    for name, degrees in names.items():
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        rotation = np.array([[-c, -s, 0], [-s, c, 0], [0, 0, 1]])
        affine = np.eye(4)
        affine[:3, :3] = rotation
        nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / f"{name}.nii")
    raw = reading.read_raw(Case("ab", tuple(Channel(n, str(tmp_path / f"{n}.nii")) for n in names)))
    np.testing.assert_array_equal(raw.voxels[0], raw.voxels[1])


def test_voxels_lie_in_memory_as_in_files(tmp_path):
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((6, 5, 4), np.int16), np.diag([-1, 1, -1, 1])), path)
    raw = reading.read_raw(Case("a", (Channel("image", str(path)),)))
    assert raw.voxels[0].flags.f_contiguous
