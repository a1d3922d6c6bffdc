"""Masks hide the stated fraction, every window as often as any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from firstscan.learning.masking import hidden_windows, window_voxels


@given(
    grid=st.integers(2, 6), window=st.sampled_from([2, 4, 8]), fraction=st.floats(0.1, 0.9), seed=st.integers(0, 999)
)
def test_a_mask_hides_what_it_says(grid: int, window: int, fraction: float, seed: int) -> None:
    (mask,) = hidden_windows(grid * window, window, fraction, np.random.default_rng(seed))
    assert abs(mask.mean() - fraction) <= 0.5 / grid**3 + 1e-9 or mask.sum() in (1, grid**3 - 1)


@given(count=st.integers(2, 12), seed=st.integers(0, 999))
def test_windows_share_the_load(count: int, seed: int) -> None:
    masks = hidden_windows(48, 8, 0.45, np.random.default_rng(seed), count=count)
    times = masks.sum(axis=0)
    assert times.max() - times.min() <= 1
    assert len({m.tobytes() for m in masks}) == count


def test_published_setting() -> None:
    masks = hidden_windows(96, 16, 0.45, np.random.default_rng(0), count=9)
    assert masks.shape == (9, 6, 6, 6)
    assert masks.reshape(9, -1).mean(axis=1) == pytest.approx(np.full(9, 97 / 216))


def test_windows_become_voxels() -> None:
    windows = torch.zeros(2, 2, 2)
    windows[0, 1, 0] = 1
    voxels = window_voxels(windows, 4)
    assert voxels.shape == (8, 8, 8)
    assert voxels.sum() == 64
    assert voxels[:4, 4:, :4].min() == 1


def test_a_window_must_divide_the_cube() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        hidden_windows(48, 7, 0.45, np.random.default_rng(0))
