"""The three pretext losses and their sum (METHOD §1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Losses:
    """Scalars of one step; ``total`` is the sum of the other three."""

    rotation: Tensor
    inpainting: Tensor
    consistency: Tensor

    @property
    def total(self) -> Tensor:
        """The loss that is minimised."""
        return self.rotation + self.inpainting + self.consistency


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of ``values`` (batch, channel, s, s, s) where ``weights`` (batch, 1, s, s, s) is 1; 0 where nothing is."""
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp_min(1.0)


def pretext_losses(
    *,
    logits: Tensor,
    turns: Tensor,
    reconstructions: tuple[Tensor, Tensor],
    target: Tensor,
    foreground: Tensor,
    hidden: tuple[Tensor, Tensor],
) -> Losses:
    """Losses of one batch seen in two views, all in the cases' own frame.

    Parameters
    ----------
    logits, turns : (batch, 4) and (batch,): rotation answer and truth of the first view.
    reconstructions : of both views, mapped back, (batch, channel, s, s, s) each.
    target : the normalised cubes; foreground : (batch, 1, s, s, s) of 0 and 1.
    hidden : voxels hidden in each view, (batch, 1, s, s, s) of 0 and 1.

    Inpainting counts hidden foreground voxels only: what air looks like is not worth learning.
    """
    first, second = reconstructions
    inpainting = 0.5 * (
        masked_mean((first - target) ** 2, hidden[0] * foreground)
        + masked_mean((second - target) ** 2, hidden[1] * foreground)
    )
    return Losses(
        rotation=F.cross_entropy(logits, turns),
        inpainting=inpainting,
        consistency=masked_mean((first - second) ** 2, foreground),
    )
