"""DICOM: geometry from position vectors, values by slice and frame, series by patient."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import UPRIGHT, enhanced, slices, straight, with_slopes
from phantoms import head

from firstscan.domain.errors import DataError
from firstscan.imaging import index, inspect, inspect_header, read_volume
from firstscan.imaging.reading import read_raw

RNG = np.random.default_rng(0)
TILT = np.tan(np.radians(20.0))


def codes(pool) -> list[str]:
    return [f.code for f in pool.findings]


def noise(count=12, shape=(10, 9)) -> np.ndarray:
    return RNG.integers(0, 3000, (count, *shape))


def smooth(z, y, x) -> np.ndarray:
    """A field that linear interpolation follows exactly, at places in mm (broadcast)."""
    return 100 + 3.0 * z + 2.0 * y + 1.0 * x


# geometry


def field(count, rows, columns, positions) -> np.ndarray:
    """The smooth field as a series at ``positions`` sees it, (slice, row, column)."""
    y, x = np.mgrid[0:rows, 0:columns]
    return np.stack([np.rint(smooth(p[2], p[1] + y, p[0] + x)) for p in positions[:count]])


def test_a_tilted_gantry_is_undone(tmp_path):
    positions = np.array([[0.0, -2.0 * TILT * i, 2.0 * i] for i in range(20)])
    voxels = field(20, 40, 30, positions) + 200
    slices(tmp_path / "s", voxels, positions, modality="CT")
    pool = index(tmp_path)
    (finding,) = pool.findings
    assert (finding.code, finding.severity, finding.case_id) == ("sheared-slices", "warn", "s")
    assert finding.measured == pytest.approx(38 * TILT, abs=1e-3)
    assert "20.0°" in finding.message
    raw = read_raw(pool["s"])
    assert raw.spacing_mm == pytest.approx((1, 1, 2))
    np.testing.assert_allclose(raw.affine[:3, :3], np.diag([1, 1, 2]), atol=1e-6)
    np.testing.assert_allclose(raw.affine[:3, 3], (0, -14, 0), atol=1e-6)  # -13.83 mm, on whole pixels
    assert raw.voxels.shape == (1, 30, 40 + 14, 20)
    x, y, z = (np.arange(n) for n in raw.voxels.shape[1:])
    want = smooth(2.0 * z, y[:, None] - 14.0, x[:, None, None]) + 200
    inside = (y[:, None] - 14.0 >= positions[:, 1]) & (y[:, None] - 14.0 <= positions[:, 1] + 39)
    got, want = raw.voxels[0].transpose(1, 2, 0)[inside], want.transpose(1, 2, 0)[inside]
    assert np.abs(got - want).max() <= 0.51  # stored values are rounded
    far = (y[:, None] - 14.0 < positions[:, 1] - 1) | (y[:, None] - 14.0 > positions[:, 1] + 40)
    assert far.any()
    assert (raw.voxels[0].transpose(1, 2, 0)[far] == voxels.min()).all()


def test_a_shear_in_an_oblique_series_is_found_and_undone(tmp_path):
    across, down = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(across, down)
    positions = np.array([5.0 + 3.0 * i * normal + 0.9 * i * across for i in range(8)])
    voxels = np.tile(np.arange(12) * 10.0, (8, 6, 1)) + 9 * np.arange(8)[:, None, None]  # rises along the patient
    slices(tmp_path / "s", voxels, positions, orientation=(*across, *down))
    pool = index(tmp_path)
    assert codes(pool) == ["sheared-slices"]
    raw = read_raw(pool["s"])
    assert raw.spacing_mm == pytest.approx((3, 1, 1))
    y = raw.affine[1, 3] + np.arange(raw.voxels.shape[2])
    middle = raw.voxels[0, :, (y > 5 + 7) & (y < 5 + 11), 3]
    np.testing.assert_allclose(
        middle, np.broadcast_to(10 * (y[(y > 12) & (y < 16)] - 5)[:, None], middle.shape), atol=0.01
    )


@pytest.mark.parametrize(
    ("steps", "grid"),
    [([2.5] * 15 + [5.0] * 14, 2.5), ([2.5] * 14 + [5.0] * 15, 2.5), ([2.0] * 17 + [2.9] * 12, 2.0)],
)
def test_uneven_steps_are_evened_out(tmp_path, steps, grid):
    along = np.concatenate([[0.0], np.cumsum(steps)])
    positions = np.stack([0 * along, 0 * along, along], axis=1)
    slices(tmp_path / "s", field(30, 9, 8, positions), positions)
    pool = index(tmp_path)
    (finding,) = pool.findings
    assert (finding.code, finding.severity) == ("uneven-slices", "warn")
    raw = read_raw(pool["s"])
    assert raw.spacing_mm == pytest.approx((1, 1, grid))
    assert raw.voxels.shape[3] == int(np.ceil(along[-1] / grid)) + 1
    z = np.minimum(np.arange(raw.voxels.shape[3]) * grid, along[-1])
    np.testing.assert_allclose(raw.voxels[0, 2, 3], smooth(z, 3, 2), atol=0.51)
    assert raw.headers[0].shape == raw.voxels.shape[1:]


def test_small_differences_of_steps_change_nothing(tmp_path):
    positions = straight(12)
    positions[5, 2] += 0.05
    positions[:, 0] += np.linspace(0, 0.4, 12)
    voxels = noise()
    slices(tmp_path / "s", voxels, positions)
    pool = index(tmp_path)
    assert codes(pool) == []
    np.testing.assert_array_equal(read_raw(pool["s"]).voxels[0], voxels.transpose(2, 1, 0))


def test_one_gap_is_a_missing_slice_not_an_uneven_series(tmp_path):
    slices(tmp_path / "gap", noise(11), np.delete(straight(12), 5, axis=0))
    slices(tmp_path / "whole", noise(12), straight(12), patient="P2", series="2", study="2")
    pool = index(tmp_path)
    assert pool.case_ids == ("whole",)
    assert codes(pool) == ["missing-slices"]


@pytest.mark.parametrize(
    ("tags", "step", "severity"),
    [
        ({"SpacingBetweenSlices": 5, "SliceThickness": 4}, 5, "warn"),
        ({"SliceThickness": 4}, 4, "warn"),
        ({}, None, "drop"),
    ],
)
def test_slices_without_position(tmp_path, tags, step, severity):
    voxels = noise()
    slices(tmp_path / "s", voxels, None, **tags)
    slices(tmp_path / "t", voxels, straight(12), patient="P2", series="2", study="2")
    pool = index(tmp_path)
    (finding,) = pool.findings
    assert (finding.code, finding.severity, finding.measured) == ("position-missing", severity, step)
    if step is None:
        assert pool.case_ids == ("t",)
        return
    raw = read_raw(pool["s"])
    assert raw.spacing_mm == pytest.approx((1, 1, step))
    np.testing.assert_array_equal(raw.voxels[0], voxels.transpose(2, 1, 0))


def test_pixels_without_size_are_left_out(tmp_path):
    slices(tmp_path / "s", noise(), straight(12), PixelSpacing=None)
    slices(tmp_path / "t", noise(), straight(12), patient="P2", series="2", study="2")
    pool = index(tmp_path)
    assert [(f.code, f.severity, f.case_id) for f in pool.findings] == [("spacing-missing", "drop", "s")]


def test_frames_that_are_shifted_or_unevenly_spaced(tmp_path):
    voxels = head((22, 20, 16), scale=900).astype(np.uint16).T
    enhanced(tmp_path / "IM0", voxels, np.concatenate([np.arange(8) * 2.0, 14 + np.arange(1, 9) * 3.0]))
    pool = index(tmp_path)
    (case,) = pool
    assert codes(pool) == ["uneven-slices"]
    raw = read_raw(case)
    assert raw.spacing_mm == pytest.approx((1.2, 0.8, 2.0))
    np.testing.assert_array_equal(raw.voxels[0][..., :8], voxels.T[..., :8])
    np.testing.assert_array_equal(raw.voxels[0][..., 10], voxels.T[..., 9])  # 20 mm
    assert inspect(case)[0].shape == raw.voxels.shape[1:]


@pytest.mark.skipif(not shutil.which("dcm2niix"), reason="dcm2niix is not installed")
@pytest.mark.parametrize("kind", ["straight", "oblique", "pet", "position", "uneven"])
def test_voxels_and_geometry_against_dcm2niix(tmp_path, kind):
    import nibabel

    orientation, positions, more = UPRIGHT, straight(12), {}
    if kind == "oblique":
        turn = np.radians(15)
        orientation = (1, 0, 0, 0, np.cos(turn), np.sin(turn))
        positions = np.outer(np.arange(12) * 2.0, np.cross(orientation[:3], orientation[3:]))
    if kind == "pet":
        more = {"modality": "PT", "slopes": [1, *np.linspace(0.0004, 0.001, 11).round(6)]}
    if kind == "uneven":
        positions[6:, 2] += 0.8 * np.arange(1, 7)
    if kind == "position":
        more, positions = {"SpacingBetweenSlices": 5}, None
    slices(tmp_path / "in" / "s", noise(), positions, orientation=orientation, **more)
    (tmp_path / "out").mkdir()
    subprocess.run(["dcm2niix", "-f", "%s", "-o", tmp_path / "out", tmp_path / "in"], check=False, capture_output=True)
    made = sorted((tmp_path / "out").glob("*_Eq*.nii")) or sorted((tmp_path / "out").glob("*.nii"))
    theirs = nibabel.as_closest_canonical(nibabel.load(made[0]))
    ours = read_raw(next(iter(index(tmp_path / "in"))))
    assert ours.spacing_mm == pytest.approx(theirs.header.get_zooms()[:3], rel=1e-4)
    got, want = ours.voxels[0][::-1, ::-1], theirs.get_fdata()
    together = min(got.shape[2], want.shape[2])
    if kind == "uneven":  # it rounds what it interpolates, and ends half a step earlier
        together, tolerance = 6, 1.0
    else:
        assert got.shape == want.shape
        tolerance = 2e-4 * float(want.max())
    if kind != "position":  # it takes such slices the other way round
        np.testing.assert_allclose(got[..., :together], want[..., :together], atol=tolerance)


CASES = Path(os.environ.get("FIRSTSCAN_TEST_CASES", Path(__file__).parents[4] / "shared" / "cases"))


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}; set FIRSTSCAN_TEST_CASES to their folder")
@pytest.mark.parametrize(
    ("folder", "case_id", "code", "spacing"),
    [
        ("dicom-no-position", "c0", "position-missing", 5),
        ("gantry-tilt", "tilted", "sheared-slices", 2),
        ("variable-slice-spacing", "half_half", "uneven-slices", 2.5),
        ("variable-slice-spacing", "mild", "uneven-slices", 2),
        ("same-series-uid-two-patients", "patientA", "series-shared", 2),
        ("same-series-uid-two-patients", "patientB", "series-shared", 2),
        ("pet-first-slice-slope-1", "pet0", None, 2),
    ],
)
def test_reported_cases(folder, case_id, code, spacing):
    pool = index(CASES / folder)
    assert code is None or code in codes(pool)
    raw = read_raw(pool[case_id])
    assert raw.spacing_mm == pytest.approx((1, 1, spacing))
    if case_id == "pet0":
        for i, path in enumerate(pool[case_id].channels[0].files):
            data = pydicom.dcmread(path)
            np.testing.assert_allclose(raw.voxels[0, ..., i].T, data.pixel_array * float(data.RescaleSlope), rtol=1e-6)


# values


@pytest.mark.parametrize("modality", ["PT", "MR", "CT"])
@pytest.mark.parametrize("first", [1, 0.25, 2])
def test_every_slice_is_rescaled_by_its_own_tags(tmp_path, modality, first):
    voxels, slopes = noise(), [first, *RNG.uniform(0.0004, 0.002, 11).round(6)]
    paths = slices(tmp_path / "s", voxels, straight(12), slopes=slopes, modality=modality)
    got = read_raw(index(tmp_path)["s"]).voxels[0].transpose(2, 1, 0)
    want = [p.pixel_array * float(p.RescaleSlope) + float(p.RescaleIntercept) for p in map(pydicom.dcmread, paths)]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("slopes", [(1, 0.5, 0.25, 2), (0.5, 1, 1, 1), (2, 2, 2, 2), (1, 1, 1, 0.001)])
def test_every_frame_is_rescaled_by_its_own_tags(tmp_path, slopes):
    voxels = noise(4).astype(np.uint16)
    order = np.array([2, 0, 3, 1])
    enhanced(tmp_path / "IM0", voxels[order], 2.0 * order)
    with_slopes(tmp_path / "IM0", np.array(slopes)[order].tolist())
    (case,) = index(tmp_path)
    want = voxels * np.array(slopes)[:, None, None] - 3
    np.testing.assert_allclose(read_raw(case).voxels[0].transpose(2, 1, 0), want, rtol=1e-6, atol=1e-6)


# series


@pytest.mark.parametrize("bare", ["explicit", "implicit"])
@pytest.mark.parametrize("name", ["{:03d}.dcm", "IM{:03d}"])
def test_files_without_preamble_are_read(tmp_path, bare, name):
    voxels = noise()
    slices(tmp_path / "s", voxels, straight(12), bare=bare, name=name)
    pool = index(tmp_path)
    assert codes(pool) == []
    np.testing.assert_array_equal(read_raw(pool["s"]).voxels[0], voxels.transpose(2, 1, 0))


def test_other_files_are_not_taken_for_dicom_without_preamble(tmp_path):
    slices(tmp_path / "s", noise(), straight(12))
    (tmp_path / "s" / "notes").write_bytes(b"\x08\x00\x05\x00" + b"\xff" * 400)
    (tmp_path / "s" / "short").write_bytes(b"\x08\x00\x05\x00CS")
    (tmp_path / "s" / "broken.dcm").write_bytes(b"half a file" * 40)
    pool = index(tmp_path)
    assert sorted(f.code for f in pool.findings) == ["other-files", "unreadable-file"]
    assert not any("force" in f.message for f in pool.findings)


def test_a_series_that_was_copied_is_read_once(tmp_path):
    voxels = noise()
    slices(tmp_path / "a", voxels, straight(12))
    slices(tmp_path / "b" / "copy", voxels, straight(12))
    pool = index(tmp_path)
    (case,) = pool
    (finding,) = pool.findings
    assert (finding.code, finding.severity, finding.measured) == ("copied-files", "warn", 12)
    assert len(case.paths) == 12
    np.testing.assert_array_equal(read_raw(case).voxels[0], voxels.transpose(2, 1, 0))


def test_a_whole_copy_is_kept_before_one_that_is_cut_short(tmp_path):
    voxels = noise()
    paths = slices(tmp_path / "a", voxels, straight(12))
    slices(tmp_path / "b", voxels, straight(12))
    paths[3].write_bytes(paths[3].read_bytes()[:-50])
    (case,) = index(tmp_path)
    np.testing.assert_array_equal(read_raw(case).voxels[0], voxels.transpose(2, 1, 0))


def test_two_patients_with_one_series_uid_are_two_scans(tmp_path):
    a, b = noise(12), noise(15)
    slices(tmp_path / "a", a, straight(12), patient="A")
    slices(tmp_path / "b", b, straight(15), patient="B")
    pool = index(tmp_path)
    assert pool.case_ids == ("a", "b")
    assert codes(pool) == ["series-shared", "series-shared"]
    for case, voxels in zip(pool, (a, b), strict=True):
        np.testing.assert_array_equal(read_raw(case).voxels[0], voxels.transpose(2, 1, 0))


def test_two_patients_with_one_study_uid_are_not_channels_of_each_other(tmp_path):
    for patient in "AB":
        slices(tmp_path / patient, noise(), straight(12), patient=patient, series=patient)
    assert index(tmp_path).case_ids == ("A", "B")


@pytest.mark.parametrize(
    ("image_type", "words"),
    [
        (["DERIVED", "PRIMARY", "MPR"], "reformatted"),
        (["DERIVED", "SECONDARY", "AXIAL", "MIP"], "projection"),
        (["DERIVED", "SECONDARY", "OTHER", "SUBTRACTION"], "subtraction"),
        (["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "NORM"], "diffusion"),
        (["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], "reformatted"),
        (["DERIVED", "SECONDARY", "MIN_MIP"], "projection"),
        (["DERIVED", "SECONDARY", "RESAMPLED"], ""),
        (["ORIGINAL", "PRIMARY", "M", "SE"], ""),
    ],
)
def test_derived_series_are_left_out_unless_asked_for(tmp_path, image_type, words):
    slices(tmp_path / "first", noise(), straight(12))
    slices(tmp_path / "second", noise(9), straight(9, 3.0), series="2", ImageType=image_type, SeriesNumber=2)
    pool = index(tmp_path)
    if not words:
        assert (len(pool), codes(pool)) == (2, [])
        return
    (finding,) = pool.findings
    assert (finding.code, finding.severity) == ("derived", "warn")
    assert words in finding.message
    assert pool.case_ids == ("first",)
    assert '--only "derived=*"' in finding.remedy
    assert index(tmp_path, only=["derived=*"]).case_ids == ("first", "second")
    assert index(tmp_path, only=["derived=yes"]).case_ids == ("second",)
    assert index(tmp_path, only=["description=series 2"]).case_ids == ("second",)


def test_a_source_of_derived_series_alone_says_how_to_take_them(tmp_path):
    slices(tmp_path / "s", noise(), straight(12), ImageType=["DERIVED", "SECONDARY", "MIP"])
    with pytest.raises(DataError, match=r"--only \"derived=\*\""):
        index(tmp_path)


def test_of_repeats_the_last_is_kept(tmp_path):
    common = {"SeriesDescription": "T2 tra", "EchoTime": 90}
    for number, time in ((3, "101500"), (5, "104000"), (4, "102500")):
        slices(
            tmp_path / f"s{number}",
            noise(),
            straight(12),
            series=number,
            SeriesNumber=number,
            SeriesTime=time,
            **common,
        )
    slices(tmp_path / "echo", noise(), straight(12), series="9", SeriesNumber=9, **{**common, "EchoTime": 20})
    pool = index(tmp_path)
    (case,) = pool
    assert [c.files[0].split("/")[-2] for c in case.channels] == ["s5", "echo"]
    assert [(f.code, f.severity) for f in pool.findings] == [("repeated-series", "warn")] * 2
    assert "series 5, which is kept" in pool.findings[0].message
    assert len(index(tmp_path, only=["repeated=*"]).cases[0].channels) == 4


def test_what_is_no_scan_is_told_by_name(tmp_path):
    slices(tmp_path / "s", noise(), straight(12))
    for name, modality in (("DICOMDIR", ""), ("report.dcm", "SR"), ("pdf.dcm", "DOC")):
        slices(tmp_path / "s", noise(1), None, name=name, Modality=modality, Rows=0, SOPInstanceUID=None)
    pool = index(tmp_path)
    assert codes(pool) == ["not-an-image"] * 3
    said = {f.path.split("/")[-1]: f.message for f in pool.findings}
    assert "table of contents" in said["DICOMDIR"]
    assert "report (SR)" in said["report.dcm"]
    assert "report (document)" in said["pdf.dcm"]


def test_findings_of_a_header_are_those_of_the_voxels(tmp_path):
    slices(tmp_path / "s", noise(), straight(12))
    (case,) = index(tmp_path)
    assert not [f for f in inspect_header(case) if f.severity == "drop"]
    assert read_volume(case).spacing_mm == pytest.approx((1, 1, 2))
