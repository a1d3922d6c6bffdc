"""What a pretrained encoder is fed: its spacing, its intensities, the patient's box."""

from __future__ import annotations

import numpy as np
import pytest

from firstscan.domain.encoding import KINDS, EncoderInput, Window, described, read_size, read_spacing, read_window
from firstscan.domain.volume import Volume
from firstscan.imaging import encoder_input

SPACING = (1.0, 2.0, 0.5)


def volume(voxels: np.ndarray, mask: np.ndarray, spacing=SPACING) -> Volume:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-10.0, 5.0, 2.0)
    return Volume("a", voxels[None].astype(np.float32), mask, spacing, affine, ("image",), "ct")


PERCENT = Window(0.0, 100.0)


def given(spacing=(1.0, 1.0, 1.0), window=PERCENT, scale="unit", size=(16, 16, 16)) -> EncoderInput:
    return EncoderInput(size, spacing, window, scale)


def ramp(shape=(40, 30, 60)) -> tuple[np.ndarray, np.ndarray]:
    """Intensity = position in mm, on every axis; the patient is an inner box."""
    grid = np.meshgrid(*[np.arange(n) * mm for n, mm in zip(shape, SPACING, strict=True)], indexing="ij")
    mask = np.zeros(shape, bool)
    mask[4:36, 3:27, 10:50] = True
    return sum(grid) / 3, mask


def test_the_box_of_the_patient_is_resampled_to_the_spacing_and_stays_where_it_is():
    values, mask = ramp()
    found = encoder_input(volume(values, mask), given())
    assert found.voxels.shape == (1, 32, 48, 20)
    assert found.foreground.all()
    assert found.spacing_mm == (1.0, 1.0, 1.0)
    inner = (slice(2, -2),) * 3
    index = np.stack(np.meshgrid(*map(np.arange, found.foreground.shape), indexing="ij"), axis=-1)
    mm = index @ found.affine[:3, :3].T + found.affine[:3, 3]
    expected = (mm - np.array([-10.0, 5.0, 2.0])).sum(axis=-1) / 3 / 100
    np.testing.assert_allclose(found.voxels[0][inner], expected[inner], atol=1e-5)


def test_voxels_outside_the_patient_keep_what_was_scanned_there():
    values, mask = np.full((20, 20, 20), 50.0), np.zeros((20, 20, 20), bool)
    mask[2:18, 2:18, 2:18] = True
    mask[8:12, 8:12, 8:12] = False
    values[~mask] = 10.0
    found = encoder_input(volume(values, mask, (1.0, 1.0, 1.0)), given())
    assert found.voxels[0, 8, 8, 8] == pytest.approx(0.1)
    assert not found.foreground[8, 8, 8]
    assert found.voxels[0, 1, 1, 1] == pytest.approx(0.5)


def test_units_are_clipped_and_z_scores_are_of_the_foreground():
    rng = np.random.default_rng(0)
    values, mask = rng.normal(50, 60, (20, 22, 24)), np.ones((20, 22, 24), bool)
    mask[:2] = False
    unit = encoder_input(volume(values, mask, (1.0, 1.0, 1.0)), given())
    assert unit.voxels.min() == 0
    assert unit.voxels.max() == 1
    scored = encoder_input(volume(values, mask, (1.0, 1.0, 1.0)), given(window=None, scale="zscore"))
    inside = scored.voxels[0][scored.foreground]
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)


def test_percentiles_are_those_of_the_patient():
    values, mask = np.zeros((30, 30, 30)), np.zeros((30, 30, 30), bool)
    mask[5:25, 5:25, 5:25] = True
    values[mask] = np.linspace(100, 200, int(mask.sum()))
    values[~mask] = -5000
    found = encoder_input(volume(values, mask, (1.0, 1.0, 1.0)), given(window=Window(0.0, 100.0, percentiles=True)))
    expected = (values[5:25, 5:25, 5:25] - 100) / 100
    np.testing.assert_allclose(found.voxels[0], expected, atol=1e-4)


def test_fit_makes_the_patient_fill_one_input():
    values, mask = ramp()
    found = encoder_input(volume(values, mask), given(spacing=None))
    assert max(found.foreground.shape) == 16
    assert found.spacing_mm == (3.0, 3.0, 3.0)  # 24 voxels of 2 mm are its longest side


@pytest.mark.parametrize("scale", ["unit", "zscore"])
def test_a_scan_without_contrast_is_zeros(scale):
    values, mask = np.full((20, 20, 20), 7.0), np.ones((20, 20, 20), bool)
    window = Window(0.0, 100.0, percentiles=True) if scale == "unit" else None
    found = encoder_input(volume(values, mask), given(window=window, scale=scale))
    assert not found.voxels.any()


def test_a_thin_scan_and_one_without_foreground_give_an_input():
    values, mask = ramp((3, 30, 40))
    found = encoder_input(volume(values, np.zeros_like(mask)), given(spacing=(4.0, 4.0, 4.0)))
    assert found.voxels.shape == (1, 1, 15, 5)
    assert found.foreground.all()
    assert np.isfinite(found.voxels).all()


def test_inputs_are_read_as_they_are_typed():
    assert read_size("96") == (96, 96, 96)
    assert read_size("128x128x64") == (128, 128, 64)
    assert read_spacing("1.5x1.5x2") == (1.5, 1.5, 2.0)
    assert read_spacing("fit") is None
    assert read_window("-175:250") == Window(-175.0, 250.0)
    assert read_window("0.5%:99.5%") == Window(0.5, 99.5, percentiles=True)
    assert str(read_window("0.5%:99.5%")) == "0.5%:99.5%"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_size, "0"),
        (read_size, "96x96"),
        (read_size, "4"),
        (read_size, "96xabc"),
        (read_size, "2000"),
        (read_spacing, "0"),
        (read_spacing, "1x2"),
        (read_spacing, "nan"),
        (read_spacing, "inf"),
        (read_spacing, "small"),
        (read_window, "5"),
        (read_window, "5:5"),
        (read_window, "1%:99"),
        (read_window, "-1%:50%"),
    ],
)
def test_inputs_that_are_none_are_refused(read, text):
    with pytest.raises(ValueError, match=r"write|window"):
        read(text)


def test_what_the_publisher_says_holds_unless_the_user_says_otherwise():
    kind = KINDS["ct-fm"]
    assert described(kind) == kind.given
    mine = described(kind, "64", "2", "0%:100%")
    assert (mine.size, mine.spacing_mm, mine.axes) == ((64, 64, 64), (2.0, 2.0, 2.0), "SPL")
    assert mine.window == Window(0.0, 100.0, percentiles=True)
    with pytest.raises(ValueError, match="describe it"):
        described(KINDS["onnx"], "64", "2")
