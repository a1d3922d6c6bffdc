"""METHOD §3.2 as properties: margins, orientation and intensity scale must not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstscan.domain.volume import Volume
from firstscan.imaging import foreground, index, read_volume, standardise
from firstscan.imaging.standardise import well_inside

MARGIN = 10


def _ball(seed: int, noise: float, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(24, 40, 3))
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    inside = ((grid / rng.uniform(0.6, 0.9, (3, 1, 1, 1))) ** 2).sum(0) < 1
    signal = inside * rng.uniform(0.5, 1.0, shape)
    noisy = np.hypot(signal + rng.normal(0, noise, shape), rng.normal(0, noise, shape))
    return (1000 * (noisy - offset)).astype(np.float32)[None]


def _padded(voxels: np.ndarray, value: float | np.ndarray) -> np.ndarray:
    shape = (voxels.shape[0], *(n + 2 * MARGIN for n in voxels.shape[1:]))
    result = np.broadcast_to(np.float32(value), shape).copy()
    result[:, MARGIN:-MARGIN, MARGIN:-MARGIN, MARGIN:-MARGIN] = voxels
    return result


def _cropped(mask: np.ndarray) -> np.ndarray:
    return mask[MARGIN:-MARGIN, MARGIN:-MARGIN, MARGIN:-MARGIN]


def _air(shape: tuple[int, ...], sigma: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.hypot(rng.normal(0, sigma, shape), rng.normal(0, sigma, shape)).astype(np.float32)


def _volume(voxels: np.ndarray, modality: str = "mr") -> Volume:
    return Volume("x", voxels, foreground(voxels, modality), (1.0, 1.0, 1.0), np.eye(4), ("image",), modality)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), value=st.sampled_from([0.0, -5.0, 17.0]), offset=st.sampled_from([0.0, 0.6]))
def test_a_constant_margin_changes_neither_mask_nor_crop(seed, value, offset):
    voxels = _ball(seed, noise=0.02, offset=offset)
    padded = _padded(voxels, value)
    first, second = _volume(voxels), _volume(padded)
    np.testing.assert_array_equal(_cropped(second.foreground), first.foreground)
    assert second.foreground.sum() == first.foreground.sum()
    np.testing.assert_allclose(
        standardise(second, spacing_mm=1.3, size=24).voxels,
        standardise(first, spacing_mm=1.3, size=24).voxels,
        atol=1e-4,
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), sigma=st.sampled_from([0.005, 0.02, 0.05]))
def test_a_margin_of_noisy_air_hardly_changes_the_mask(seed, sigma):
    voxels = _ball(seed, noise=sigma)
    padded = _padded(voxels, _air(tuple(n + 2 * MARGIN for n in voxels.shape[1:]), 1000 * sigma, seed))
    first, second = foreground(voxels, "mr"), foreground(padded, "mr")
    assert (_cropped(second) ^ first).sum() <= 0.01 * first.sum()
    assert second.sum() <= 1.01 * first.sum()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations([0, 1, 2]), flips=st.tuples(*[st.booleans()] * 3))
def test_the_mask_turns_with_the_scan(seed, order, flips):
    voxels = _ball(seed, noise=0.03)
    turned = np.transpose(voxels, (0, *(1 + a for a in order)))
    turned = np.flip(turned, [1 + a for a in range(3) if flips[a]])
    expected = np.flip(np.transpose(foreground(voxels, "mr"), order), [a for a in range(3) if flips[a]])
    np.testing.assert_array_equal(foreground(np.ascontiguousarray(turned), "mr"), expected)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e5))
def test_the_scale_of_intensities_does_not_show(seed, scale):
    voxels = _ball(seed, noise=0.03)
    assert (foreground(voxels, "mr") ^ foreground(voxels * np.float32(scale), "mr")).mean() < 1e-3


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), modality=st.sampled_from(["mr", "ct", "other"]))
def test_the_mask_is_empty_only_for_constant_volumes(seed, modality):
    rng = np.random.default_rng(seed)
    voxels = np.zeros((1, *rng.integers(2, 12, 3)), np.float32)
    assert not foreground(voxels, modality).any()
    at = tuple(int(rng.integers(n)) for n in voxels.shape)
    voxels[at] = rng.normal() or 1.0
    assert foreground(voxels, modality).any()


@pytest.mark.data
def test_crops_without_air_are_nearly_all_foreground(data_dir):
    shares = [read_volume(case).foreground.mean() for case in list(index(data_dir / "hippocampus" / "images"))[::10]]
    assert np.median(shares) > 0.95
    assert min(shares) > 0.9


@pytest.mark.data
def test_margins_do_not_show_on_real_scans(data_dir):
    for case in list(index(data_dir / "hippocampus" / "images"))[::40]:
        volume = read_volume(case)
        bright = float(np.percentile(volume.voxels, 90))
        air = _air(tuple(n + 2 * MARGIN for n in volume.voxels.shape[1:]), 0.03 * bright, 0)
        for value, allowed in ((0.0, 0.0), (air, 0.005)):
            voxels = _padded(volume.voxels, value)
            padded = replace(volume, voxels=voxels, foreground=foreground(voxels, volume.modality))
            assert (_cropped(padded.foreground) ^ volume.foreground).sum() <= allowed * volume.foreground.sum()
            first = standardise(volume, spacing_mm=1.2, size=48)
            second = standardise(padded, spacing_mm=1.2, size=48)
            assert (first.foreground ^ second.foreground).sum() <= allowed * first.foreground.sum()
            both = well_inside(first.foreground & second.foreground)
            difference = (first.voxels - second.voxels)[:, both]
            assert np.sqrt(np.mean(difference**2)) <= (0.02 if allowed else 1e-4)
