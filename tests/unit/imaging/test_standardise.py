from __future__ import annotations

import numpy as np
import pytest
from phantoms import head

from firstscan.domain.errors import UsageError
from firstscan.domain.volume import Volume
from firstscan.imaging import foreground, pool_spacing, standardise, thumbnails
from firstscan.imaging.standardise import continue_outward, well_inside


def volume(voxels, modality="mr", spacing=(1.0, 1.0, 1.0), mask=None):
    stack = np.atleast_3d(voxels)[None].astype(np.float32)
    return Volume(
        case_id="x",
        voxels=stack,
        foreground=foreground(stack, modality) if mask is None else mask,
        spacing_mm=spacing,
        affine=np.eye(4),
        channel_names=("image",),
        modality=modality,
    )


def test_the_pool_spacing_fits_the_stated_share():
    extents = np.array([[10.0, 20, 30]] * 19 + [[10.0, 20, 300]])
    assert pool_spacing(extents, 10) == pytest.approx(3.0)
    assert pool_spacing(extents, 10, share=1.0) == pytest.approx(30.0)
    with pytest.raises(UsageError, match="needs scans"):
        pool_spacing(np.empty((0, 3)), 10)


def test_the_crop_is_normalised_on_the_foreground_which_continues_outside():
    crop = standardise(volume(head()), spacing_mm=1.2, size=32)
    inside = crop.voxels[:, well_inside(crop.foreground)]
    assert crop.voxels.shape == (1, 32, 32, 32)
    assert crop.voxels.dtype == np.float32
    assert inside.mean() == pytest.approx(0, abs=1e-4)
    assert inside.std() == pytest.approx(1, abs=1e-4)
    assert set(np.unique(crop.voxels[:, ~well_inside(crop.foreground)])) <= set(np.unique(inside))


def test_intensity_scale_does_not_show():
    first = standardise(volume(head()), spacing_mm=1.2, size=32)
    second = standardise(volume(head() * 1700), spacing_mm=1.2, size=32)
    np.testing.assert_allclose(first.voxels, second.voxels, atol=1e-3)


def test_air_does_not_bleed_into_tissue():
    voxels = np.zeros((60, 60, 60), np.float32)
    voxels[10:50, 10:50, 10:50] = 100
    voxels[10:50, 10:50, 28:32] = 50
    crop = standardise(volume(voxels), spacing_mm=4.0, size=16)
    inside = crop.voxels[0][crop.foreground]
    edge = crop.voxels[0, 3:13, 3, 4][crop.foreground[3:13, 3, 4]]
    assert edge.size
    np.testing.assert_allclose(edge, inside.max(), atol=1e-3)


def test_the_foreground_is_centred_and_keeps_its_size():
    voxels = np.zeros((60, 50, 40), np.float32)
    voxels[5:25, 20:44, 3:19] = 100 + np.random.default_rng(0).random((20, 24, 16))
    crop = standardise(volume(voxels), spacing_mm=1.0, size=32)
    ends = [np.flatnonzero(crop.foreground.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    assert [(e[0], e[-1] + 1) for e in ends] == [(6, 26), (4, 28), (8, 24)]


def test_coarser_grids_average_instead_of_picking():
    rng = np.random.default_rng(0)
    voxels = np.full((64, 64, 64), 1000.0, np.float32) + rng.normal(0, 100, (64, 64, 64)).astype(np.float32)
    voxels[:32] += 100
    crop = standardise(volume(voxels, mask=np.ones((64, 64, 64), bool)), spacing_mm=4.0, size=16)
    left, right = crop.voxels[0, 2:6], crop.voxels[0, 10:14]
    assert left.std() < 0.5
    assert left.mean() - right.mean() > 1.5


def test_ct_is_clipped_to_its_window():
    voxels = np.full((40, 40, 40), -1000, np.float32)
    voxels[8:32, 8:32, 8:32] = 0
    voxels[8:32, 8:32, 8:20] = 400
    bright = voxels.copy()
    bright[voxels == 400] = 3000
    mask = voxels > -1000
    first = standardise(volume(voxels, "ct", mask=mask), spacing_mm=1.0, size=32)
    second = standardise(volume(bright, "ct", mask=mask), spacing_mm=1.0, size=32)
    np.testing.assert_array_equal(first.voxels, second.voxels)


def test_bad_arguments():
    with pytest.raises(UsageError):
        standardise(volume(head()), spacing_mm=0.0, size=32)


def test_thumbnails_follow_radiological_display():
    voxels = np.zeros((40, 40, 40), np.float32)
    voxels[10:30, 10:30, 10:30] = 100
    voxels[10:14, 10:30, 10:30] = 300  # the patient's right
    voxels[10:30, 10:14, 10:30] += 200  # anterior
    voxels[10:30, 10:30, 26:30] += 400  # superior
    axial, coronal, sagittal = thumbnails(volume(voxels), size=80).astype(float)
    assert axial.shape == (80, 80)
    assert axial[30:50, 5:14].mean() > axial[30:50, 66:75].mean() + 20  # right of the patient is on the left
    assert axial[5:14, 30:50].mean() > axial[66:75, 30:50].mean() + 20  # anterior is up
    assert coronal[5:12, 30:50].mean() > coronal[68:75, 30:50].mean() + 20  # superior is up
    assert sagittal[5:12, 30:50].mean() > sagittal[68:75, 30:50].mean() + 20
    assert sagittal[30:50, 5:12].mean() > sagittal[30:50, 68:75].mean() + 20  # anterior is on the left


def test_thumbnails_keep_the_aspect():
    voxels = np.zeros((40, 40, 20), np.float32)
    voxels[10:30, 10:30, 5:15] = 100 + np.random.default_rng(0).random((20, 20, 10))
    for plane in thumbnails(volume(voxels, spacing=(1.0, 1.0, 2.0)), size=80):
        rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        assert abs(len(rows) - len(columns)) <= 2


def test_what_is_well_inside_continues_outward() -> None:
    foreground = np.zeros((9, 9, 9), dtype=bool)
    foreground[2:6, 3:6, 3:6] = True
    cube = np.full((1, 9, 9, 9), 99.0, dtype=np.float32)
    cube[0, 3, 4, 4], cube[0, 4, 4, 4] = 7.0, -3.0
    filled = continue_outward(cube, well_inside(foreground))
    assert (filled[0, :4] == 7.0).all()
    assert (filled[0, 4:] == -3.0).all()


def test_a_thin_foreground_continues_itself() -> None:
    foreground = np.zeros((5, 5, 5), dtype=bool)
    foreground[2] = True
    cube = np.where(foreground, 4.0, 0.0)[None].astype(np.float32)
    assert (continue_outward(cube, well_inside(foreground)) == 4.0).all()
    assert not continue_outward(np.zeros((1, 5, 5, 5), dtype=np.float32), np.zeros((5, 5, 5), dtype=bool)).any()


def test_noise_that_clings_to_the_foreground_does_not_show() -> None:
    foreground = np.zeros((12, 12, 12), dtype=bool)
    foreground[2:10, 2:10, 2:10] = True
    cube = np.random.default_rng(0).normal(size=(1, 12, 12, 12)).astype(np.float32)
    clinging = foreground.copy()
    clinging[10, 5, 5] = clinging[1, 3, 8] = True
    assert np.array_equal(
        continue_outward(cube, well_inside(foreground)), continue_outward(cube, well_inside(clinging))
    )
