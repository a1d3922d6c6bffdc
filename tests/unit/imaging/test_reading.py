from __future__ import annotations

import gzip
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import AFFINE, head, save

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import ScanError, UsageError
from firstscan.imaging import fingerprint, index, inspect, inspect_header, read_array, read_header, read_volume
from firstscan.imaging.formats.nifti import nifti_header


def only(folder, layout="auto"):
    (case,) = index(folder, layout=layout)
    return case


def codes(case, **options):
    summary, findings = inspect(case, **options)
    return summary, [(f.code, f.severity) for f in findings]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_every_format_reads_to_the_same_voxels(tmp_path, ending):
    voxels = head()
    save(tmp_path / f"one{ending}", voxels, np.diag([1.0, 1.5, 2.0, 1.0]))
    volume = read_volume(only(tmp_path))
    np.testing.assert_array_equal(volume.voxels[0], voxels)
    assert volume.spacing_mm == pytest.approx((1.0, 1.5, 2.0))
    assert volume.voxels.dtype == np.float32


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        (b"NDims = 3", b"NDims = 99", "unreadable", "NDims = 99"),  # crashes the reading library
        (b"NDims = 3", b"Dims = 3", "unreadable", "its header lacks NDims"),
        (b"ElementSpacing = 1 1.5", b"ElementSpacing = x 1.5", "unreadable", "ElementSpacing = x 1.5 2"),
        (b"ElementType = MET_FLOAT", b"ElementType = MET_FOO", "unreadable", "ElementType = MET_FOO"),
        (b"DimSize = ", b"DimSize = 9 ", "unreadable", "DimSize = 9"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = gone.raw", "missing-file", "gone.raw, which is not there"),
    ],
)
def test_a_damaged_metaimage_header_never_reaches_the_library(tmp_path, capfd, old, new, code, said):
    file = tmp_path / "one.mha"
    save(file, head(), np.diag([1.0, 1.5, 2.0, 1.0]))
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))
    (finding,) = inspect(only(tmp_path))[1]
    assert (finding.code, finding.severity) == (code, "drop")
    assert said in finding.message
    assert capfd.readouterr() == ("", "")


def test_stored_orientation_does_not_matter(tmp_path):
    voxels = head()
    save(tmp_path / "a" / "lps.nii.gz", voxels, np.diag([1.0, 1.5, 2.0, 1.0]))
    turned = np.transpose(voxels, (2, 0, 1))[:, ::-1, :]
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, -1.0, 0], [0, 0, 1.5], [2.0, 0, 0]])
    affine[0, 3] = voxels.shape[0] - 1
    save(tmp_path / "b" / "turned.nii.gz", turned, affine)
    first, second = read_volume(only(tmp_path / "a")), read_volume(only(tmp_path / "b"))
    np.testing.assert_array_equal(first.voxels, second.voxels)
    np.testing.assert_array_equal(first.foreground, second.foreground)
    np.testing.assert_allclose(first.affine, second.affine, atol=1e-5)


def test_header_is_read_without_voxels(tmp_path):
    path = save(tmp_path / "one.nii", affine=np.diag([-1.0, -1.5, 2.0, 1.0]))
    path.write_bytes(path.read_bytes()[:400])
    header = read_header(only(tmp_path).channels[0])
    assert header.shape == (40, 48, 36)
    assert header.spacing_mm == pytest.approx((1.0, 1.5, 2.0))
    assert header.components == 1


def test_channels_are_stacked_in_order_and_can_be_chosen(tmp_path):
    for i in range(3):
        save(tmp_path / f"p_000{i}.nii.gz", head() + i)
    case = only(tmp_path, layout="nnunet")
    volume = read_volume(case)
    assert volume.voxels.shape[0] == 3
    np.testing.assert_allclose(volume.voxels[2] - volume.voxels[0], 2, atol=1e-3)
    assert read_volume(case, channels=["0002"]).channel_names == ("0002",)
    with pytest.raises(UsageError, match="no channel 'T1'"):
        read_volume(case, channels=["T1"])


def test_channels_on_different_grids_are_dropped(tmp_path):
    save(tmp_path / "p_0000.nii.gz")
    save(tmp_path / "p_0001.nii.gz", affine=np.diag([-1.0, -1.0, 1.2, 1.0]))
    assert codes(only(tmp_path, layout="nnunet")) == (None, [("channel-geometry", "drop")])


def test_two_dimensional_and_four_dimensional_images(tmp_path):
    sitk.WriteImage(sitk.Image(20, 20, sitk.sitkUInt8), str(tmp_path / "flat.nii.gz"))
    sitk.WriteImage(sitk.Image([20, 20, 20, 3], sitk.sitkFloat32), str(tmp_path / "film.nii.gz"))
    sitk.WriteImage(sitk.Image([20, 20, 1], sitk.sitkFloat32), str(tmp_path / "slice.nii.gz"))
    for case in index(tmp_path):
        summary, findings = inspect(case)
        assert summary is None
        assert [f.code for f in findings] == ["not-3d"], case.case_id


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_files_are_dropped(tmp_path, ending, share, capfd):
    path = save(tmp_path / f"one{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    summary, findings = inspect(only(tmp_path))
    assert summary is None
    assert [f.severity for f in findings] == ["drop"]
    assert findings[0].code in {"truncated", "unreadable"}
    assert findings[0].remedy


def test_a_short_stream_inside_whole_gzip_is_noticed(tmp_path):
    path = save(tmp_path / "one.nii.gz")
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[: len(content) // 2]))
    assert codes(only(tmp_path)) == (None, [("truncated", "drop")])


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "one.nii.gz").write_bytes(b"hello, world" * 50)
    assert codes(only(tmp_path)) == (None, [("unreadable", "drop")])


def test_a_file_that_vanishes(tmp_path):
    path = save(tmp_path / "one.nii.gz")
    case = only(tmp_path)
    path.unlink()
    assert codes(case) == (None, [("missing-file", "drop")])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_scan_with_non_finite_voxels_is_dropped(tmp_path, value):
    voxels = head()
    voxels[20, 20, 10:14] = value
    save(tmp_path / "one.nii.gz", voxels)
    assert codes(only(tmp_path)) == (None, [("non-finite", "drop")])


def test_nan_that_marks_the_background_is_a_warning(tmp_path):
    voxels = head(noise=0.0)
    voxels[voxels == 0] = np.nan
    save(tmp_path / "one.nii.gz", voxels)
    summary, found = codes(only(tmp_path))
    assert summary is not None
    assert found == [("nan-background", "warn")]
    assert np.isfinite(read_volume(only(tmp_path)).voxels).all()


def test_a_constant_scan_is_dropped(tmp_path):
    save(tmp_path / "one.nii.gz", np.full((20, 20, 20), 7, dtype=np.int16))
    assert codes(only(tmp_path)) == (None, [("constant", "drop")])


def test_impossible_spacing_is_dropped(tmp_path):
    save(tmp_path / "one.nii.gz", affine=np.diag([0.001, 0.001, 0.001, 1.0]))
    assert codes(only(tmp_path)) == (None, [("spacing-implausible", "drop")])


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path):
    (tmp_path / "one.nrrd").write_bytes(
        b"NRRD0004\ntype: float\ndimension: 3\nspace: left-posterior-superior\nsizes: 100000 100000 100000\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,1)\nencoding: raw\nendian: little\nspace origin: (0,0,0)\n\n1234"
    )
    assert codes(only(tmp_path)) == (None, [("too-large", "drop")])


def test_summary_tells_what_the_pool_needs(tmp_path):
    save(tmp_path / "one.nii.gz", head(), np.diag([-1.0, -1.0, 2.0, 1.0]))
    case = only(tmp_path)
    summary, findings = inspect(case)
    assert findings == ()
    assert summary.shape == (40, 48, 36)
    assert summary.voxel_count == 40 * 48 * 36
    assert summary.modality == "mr"
    assert summary.file_type == "nifti"
    assert summary.fingerprint == fingerprint(case)
    assert summary.extent_mm == pytest.approx((0.72 * 40, 0.78 * 48, 0.7 * 36 * 2), rel=0.1)
    expected = 4 / 3 * np.pi * 14.4 * 18.7 * 25.2 / 1000
    assert summary.foreground_ml == pytest.approx(expected, rel=0.1)
    assert summary.air_share == pytest.approx(1 - expected * 1000 / 2 / summary.voxel_count, abs=0.05)


def test_ct_is_recognised_by_its_intensities_and_can_be_overridden(tmp_path):
    voxels = np.full((40, 40, 40), -1000, dtype=np.int16)
    voxels[8:32, 8:32, 8:32] = 40
    voxels[14:20, 14:20, 14:20] = -850
    save(tmp_path / "one.nii.gz", voxels)
    case = only(tmp_path)
    volume = read_volume(case)
    assert volume.modality == "ct"
    assert volume.foreground.sum() == pytest.approx(24**3, rel=0.02)
    assert read_volume(case, modality="mr").modality == "mr"


def test_a_channel_name_tells_the_modality(tmp_path):
    path = save(tmp_path / "one.nii.gz")
    assert read_volume(Case("x", (Channel("CT", str(path)),))).modality == "ct"
    assert read_volume(Case("x", (Channel("T1w", str(path)),))).modality == "mr"


def test_labels_keep_their_type(tmp_path):
    labels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5) + np.zeros((3, 4, 5), np.uint8)
    path = save(tmp_path / "l.nii.gz", labels, AFFINE)
    voxels, affine = read_array(path)
    assert voxels.dtype == np.uint8
    np.testing.assert_array_equal(voxels, labels[::-1, ::-1])
    assert affine.shape == (4, 4)


def test_errors_are_scan_errors_with_a_remedy(tmp_path):
    with pytest.raises(ScanError, match="cannot be opened") as error:
        read_header(Channel("image", str(tmp_path / "absent.nii.gz")))
    assert error.value.code == "missing-file"
    assert error.value.remedy


def test_importing_imaging_loads_no_heavy_library():
    heavy = {"torch", "SimpleITK", "pydicom", "nibabel", "pandas"}
    code = f"import sys, firstscan.imaging; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("affine", [np.diag([-1.0, -1.0, 1.0, 1.0]), np.diag([1.0, 1.5, 2.0, 1.0])])
def test_the_quick_header_agrees_with_the_full_one(tmp_path, affine):
    path = save(tmp_path / "one.nii.gz", affine=affine)
    quick, full = nifti_header(path), read_header(Channel("image", str(path)))
    assert quick.shape == full.shape
    assert quick.components == full.components
    for mine, theirs in (
        (quick.spacing_mm, full.spacing_mm),
        (quick.direction, full.direction),
        (quick.origin_mm, full.origin_mm),
    ):
        assert mine == pytest.approx(theirs, abs=1e-5)


def test_headers_alone_tell_what_is_wrong(tmp_path):
    save(tmp_path / "good.nii.gz")
    save(tmp_path / "thin.nii.gz", head((40, 40, 5)))
    (tmp_path / "junk.nii.gz").write_bytes(b"x" * 500)
    sitk.WriteImage(sitk.Image([20, 20, 20, 3], sitk.sitkFloat32), str(tmp_path / "film.nii"))
    found = {case.case_id: [(f.code, f.severity) for f in inspect_header(case)] for case in index(tmp_path)}
    assert found == {
        "good": [],
        "thin": [("too-few-slices", "warn")],
        "junk": [("unreadable", "drop")],
        "film": [("not-3d", "drop")],
    }


def test_a_gzip_bomb_stops_early(tmp_path):
    path = save(tmp_path / "one.nii.gz")
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content + bytes(64 << 20)))
    assert codes(only(tmp_path)) == (None, [("oversized", "drop")])
