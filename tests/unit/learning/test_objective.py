"""The three losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from firstscan.learning.objective import masked_mean, pretext_losses


def _losses(first: float, second: float, hidden: torch.Tensor, foreground: torch.Tensor):
    target = torch.zeros(1, 1, 2, 2, 2)
    return pretext_losses(
        logits=torch.zeros(1, 4),
        turns=torch.tensor([2]),
        reconstructions=(target + first, target + second),
        target=target,
        foreground=foreground,
        hidden=(hidden, hidden),
    )


def test_losses_by_hand() -> None:
    ones = torch.ones(1, 1, 2, 2, 2)
    losses = _losses(1.0, 3.0, ones, ones)
    assert losses.rotation.item() == pytest.approx(math.log(4))
    assert losses.inpainting.item() == pytest.approx((1 + 9) / 2)
    assert losses.consistency.item() == pytest.approx(4)
    assert losses.total.item() == pytest.approx(math.log(4) + 5 + 4)


def test_only_hidden_foreground_counts() -> None:
    hidden, foreground = torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2)
    hidden[0, 0, 0] = 1
    foreground[0, 0, :, 0] = 1
    values = torch.zeros(1, 1, 2, 2, 2)
    values[0, 0, 0, 0] = 5.0
    values[0, 0, 1, 1] = 1e9
    assert masked_mean(values, hidden * foreground).item() == 5.0
    assert masked_mean(values, torch.zeros_like(hidden)).item() == 0.0


def test_channels_are_averaged() -> None:
    values = torch.stack([torch.full((2, 2, 2), 1.0), torch.full((2, 2, 2), 3.0)])[None]
    assert masked_mean(values, torch.ones(1, 1, 2, 2, 2)).item() == 2.0
