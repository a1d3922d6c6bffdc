import numpy as np
import pytest

from firstscan.segmentation.grids import Grid
from firstscan.segmentation.standardise import labels_to_spacing, scale_of, to_spacing, working_spacing


def grid(shape, spacing):
    return Grid(shape, spacing, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def test_mri_is_scaled_by_its_own_numbers():
    values = np.random.default_rng(0).normal(5e5, 1e5, 1000).astype(np.float32)
    scaled = scale_of("T1", values)(values)
    assert scaled.mean() == pytest.approx(0, abs=1e-3)
    assert scaled.std() == pytest.approx(1, abs=1e-3)


def test_ct_is_scaled_by_the_picks_foreground():
    foreground = np.linspace(0.0, 100.0, 1001)
    scale = scale_of("CT", foreground)
    assert scale.clip == pytest.approx((0.5, 99.5))
    np.testing.assert_allclose(scale(np.array([-1000.0, 50.0])), [(0.5 - 50) / scale.std, 0.0], atol=1e-3)


def test_a_constant_channel_does_not_divide_by_zero():
    assert np.isfinite(scale_of("T1", np.ones(3))(np.full(5, 7.0))).all()


def test_small_scans_keep_their_spacing_and_large_ones_are_coarsened_finest_axis_first():
    assert working_spacing([grid((35, 51, 35), (1.0, 1.0, 1.0))], 600_000) == (1.0, 1.0, 1.0)
    spacing = working_spacing([grid((200, 200, 50), (0.5, 0.5, 3.0))], 200_000)
    assert spacing[2] == 3.0
    assert spacing[0] == spacing[1] > 1.0
    assert 100 * 100 * 150 / np.prod(spacing) <= 200_000


def test_resampling_keeps_positions():
    """A ramp of millimetre positions stays a ramp of millimetre positions on the coarser grid."""
    position = (np.arange(40) + 0.5)[None, :, None, None] * np.ones((1, 1, 6, 6))
    coarse = to_spacing(position.astype(np.float32), (1.0, 1.0, 1.0), (2.0, 1.0, 1.0))
    assert coarse.shape == (1, 20, 6, 6)
    np.testing.assert_allclose(coarse[0, :, 3, 3], (np.arange(20) + 0.5) * 2, atol=1e-4)


def test_labels_keep_their_values_and_their_volume():
    labels = np.zeros((40, 12, 12), np.int32)
    labels[10:30] = 5
    coarse = labels_to_spacing(labels, (1.0, 1.0, 1.0), (2.0, 2.0, 2.0))
    assert set(np.unique(coarse)) == {0, 5}
    assert (coarse == 5).mean() == pytest.approx(0.5)


@pytest.mark.parametrize("ratio", [1.3, 1.9, 2.6])
def test_annotated_slices_survive_a_coarser_grid(ratio):
    labels = np.full((12, 12, 40), -1)
    kept = np.arange(2, 40, 5)
    labels[:, :, kept] = np.arange(len(kept))
    coarse = labels_to_spacing(labels, (1.0, 1.0, 1.0), (ratio, ratio, ratio), ignored=-1)
    assert coarse.shape == tuple(round(n / ratio) for n in labels.shape)
    assert set(np.unique(coarse)) == {-1, *range(len(kept))}
    for value, index in enumerate(kept):
        at = np.unique(np.argwhere(coarse == value)[:, 2])
        assert abs((at.mean() + 0.5) * 40 / coarse.shape[2] - (index + 0.5)) <= ratio / 2 + 0.51


def test_a_finer_grid_keeps_ignored_voxels_ignored():
    labels = np.full((4, 4, 6), -1)
    labels[:, :, 3] = 1
    fine = labels_to_spacing(labels, (1.0, 1.0, 3.0), (1.0, 1.0, 1.0), ignored=-1)
    assert np.unique(np.argwhere(fine == 1)[:, 2]).tolist() == [9, 10, 11]
