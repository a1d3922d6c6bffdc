from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import head
from scipy import ndimage

from firstscan.domain.sampling import SAMPLES, inside, places, sample, sample_inside
from firstscan.domain.volume import Volume
from firstscan.imaging import foreground, standardise
from firstscan.imaging.foreground import _box_means
from firstscan.imaging.morphology import fill_axial_holes, fill_holes, large_components


def in_file_order(array: np.ndarray) -> np.ndarray:
    """The same array with x fastest in memory, as scans are read."""
    return np.ascontiguousarray(array.T).T


def blobs(seed: int, share: float, shape=(17, 13, 11)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("outside", [0.0, -1000.0])
@pytest.mark.parametrize("shape", [(9, 7, 20), (5, 6, 8), (4, 3, 1), (3, 3, 9)])
def test_box_means_are_those_of_a_padded_array(shape, outside):
    voxels = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found = np.full(shape, np.nan, np.float32)
    for planes, mean in _box_means(in_file_order(voxels), outside):
        found[planes] = mean
    expected = ndimage.uniform_filter(voxels.astype(np.float64), 3, mode="constant", cval=outside)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(5))
def test_holes_are_those_of_simpleitk(seed, share):
    mask = blobs(seed, share)
    whole = sitk.BinaryFillhole(sitk.GetImageFromArray(mask.T.astype(np.uint8)))
    np.testing.assert_array_equal(fill_holes(in_file_order(mask)), sitk.GetArrayFromImage(whole).T > 0)
    planes = [
        sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(mask[:, :, z].astype(np.uint8)))) > 0
        for z in range(mask.shape[2])
    ]
    np.testing.assert_array_equal(fill_axial_holes(in_file_order(mask)), np.stack(planes, axis=2))


@pytest.mark.parametrize("seed", range(5))
def test_small_components_go(seed):
    mask = blobs(seed, 0.25)
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    expected = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.05 * sizes.max()))
    np.testing.assert_array_equal(large_components(in_file_order(mask)), expected)


@pytest.mark.parametrize("modality", ["mr", "ct"])
def test_the_order_of_memory_does_not_show(modality):
    voxels = head()[None] if modality == "mr" else head()[None] - 1000
    crops = []
    for stack in (voxels, in_file_order(voxels[0])[None]):
        mask = foreground(stack, modality)
        volume = Volume("x", stack, mask, (1.0, 1.1, 1.2), np.eye(4), ("image",), modality)
        crops.append(standardise(volume, spacing_mm=2.3, size=20))
    assert crops[0].voxels.tobytes() == crops[1].voxels.tobytes()
    np.testing.assert_array_equal(crops[0].foreground, crops[1].foreground)


def test_samples_are_thinned_evenly_and_whatever_the_order_of_memory():
    large = np.random.default_rng(0).normal(size=(300, 160, 100)).astype(np.float32)
    few = sample(large)
    assert SAMPLES / 3 <= few.size < 2 * SAMPLES
    np.testing.assert_array_equal(few, sample(in_file_order(large)))
    mask = large > 0
    assert SAMPLES / 3 <= sample_inside(large, mask).size < 2 * SAMPLES
    assert inside(large, mask).size == mask.sum()
    assert np.percentile(sample_inside(large, mask), 99) == pytest.approx(np.percentile(large[mask], 99), rel=0.02)
    x, y, z = places(mask)
    assert mask[x, y, z].all()
    assert SAMPLES / 12 <= x.size < SAMPLES / 2
    assert {*np.unique(x)} == {*range(300)}


def test_samples_meet_every_plane_of_a_grid_of_even_numbers():
    grid = np.broadcast_to(np.arange(256.0)[:, None, None], (256, 256, 64))
    assert len(np.unique(sample(grid))) == 256
    x, y, z = places(np.ones((256, 256, 32), dtype=bool))
    assert (len(np.unique(x)), len(np.unique(y)), len(np.unique(z))) == (256, 256, 32)


def test_small_arrays_are_sampled_whole():
    small = np.arange(24.0).reshape(2, 3, 4)
    assert sorted(sample(small)) == sorted(small.ravel())
    assert set(zip(*places(small > 5), strict=True)) == set(zip(*np.nonzero(small > 5), strict=True))
