"""One network for three pretext tasks: an encoder, a rotation head, a light upsampling decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoders import build_encoder

PATCH = 4
PARTS = 3
"""Parts along each axis of the crop that ``positions`` keeps apart."""


class Decoder(nn.Module):
    """From the deepest stage to voxels: upsampling steps to stride 4, then one linear map per 4³ patch."""

    def __init__(self, dim: int, stride: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        steps = int(math.log2(stride // PATCH))
        widths = [min(dim, 48 * 2 ** (steps - i)) if i < steps else 48 for i in range(steps + 1)]
        layers: list[nn.Module] = [nn.Conv3d(dim, widths[0], 1)]
        for before, after in pairwise(widths):
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv3d(before, after, 3, padding=1, bias=False),
                nn.GroupNorm(8, after),
                nn.GELU(),
            ]
        self.body = nn.Sequential(*layers)
        self.to_patches = nn.Conv3d(widths[-1], channels * PATCH**3, 1)

    def forward(self, deepest: Tensor) -> Tensor:
        """Map (batch, dim, g, g, g) to (batch, channel, s, s, s)."""
        return self._cubes(self.body(deepest))

    def frozen(self) -> Callable[[Tensor], Tensor]:
        """Return the map of :meth:`forward` as long as weights do not change, with 3.4 times less arithmetic.

        Doubling by nearest neighbours and then convolving multiplies each value by several weights of a kernel in
        turn; summed beforehand they make a transposed convolution of stride 2, equal up to rounding.
        """
        widen, *rest = self.body
        steps: list[tuple[nn.Module, Tensor]] = []
        with torch.no_grad():
            for _, convolution, norm, _ in zip(*[iter(rest)] * 4, strict=True):
                steps.append((norm, doubling_kernel(convolution.weight)))

        def decode(deepest: Tensor) -> Tensor:
            features = widen(deepest)
            for norm, kernel in steps:
                features = F.gelu(norm(F.conv_transpose3d(features, kernel, stride=2, padding=1)))
            return self._cubes(features)

        return decode

    def _cubes(self, features: Tensor) -> Tensor:
        """Turn every position of stride 4 into its patch of 4³ voxels."""
        patches = self.to_patches(features)
        batch, _, *grid = patches.shape
        gx, gy, gz = grid
        cubes = patches.view(batch, self.channels, PATCH, PATCH, PATCH, gx, gy, gz)
        interleaved: Tensor = cubes.permute(0, 1, 5, 2, 6, 3, 7, 4)
        return interleaved.reshape(batch, self.channels, gx * PATCH, gy * PATCH, gz * PATCH)


class Network(nn.Module):
    """Encoder ψ, linear rotation head on its pooled output, decoder.

    ``encode`` gives the deepest stage; ``forward`` gives (rotation logits (batch, 4), reconstruction).
    """

    def __init__(self, encoder: str, channels: int) -> None:
        super().__init__()
        self.encoder = build_encoder(encoder, channels)
        self.dim: int = self.encoder.dim  # type: ignore[assignment]
        self.rotation_head = nn.Linear(self.dim, 4)
        self.decoder = Decoder(self.dim, self.encoder.stride, channels)  # type: ignore[arg-type]

    def encode(self, cubes: Tensor) -> Tensor:
        """Return the deepest stage (batch, dim, g, g, g) of cubes (batch, channel, s, s, s)."""
        out: Tensor = self.encoder(cubes)
        return out

    def forward(self, cubes: Tensor) -> tuple[Tensor, Tensor]:
        """Return rotation logits (batch, 4) and reconstructions (batch, channel, s, s, s)."""
        deepest = self.encode(cubes)
        return self.rotation_head(deepest.mean(dim=(-3, -2, -1))), self.decoder(deepest)


def doubling_kernel(kernel: Tensor) -> Tensor:
    """Return the transposed kernel (in, out, 4, 4, 4) that doubles as (out, in, 3, 3, 3) convolves what is doubled."""
    for axis in (2, 3, 4):
        before, centre, after = kernel.unbind(axis)
        kernel = torch.stack([after, centre + after, before + centre, before], axis)
    return kernel.transpose(0, 1).contiguous(memory_format=torch.channels_last_3d)


def packed_weights(network: Network) -> Network:
    """Return the network with its kernels laid out channels last: ten times faster on CPU at these shapes.

    Kernels of one voxel lie the same either way; theirs keep the strides that their gradients have, which processes
    that train together compare.
    """
    packed: Network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    for parameter in packed.parameters():
        if parameter.is_contiguous():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
    return packed


def foreground_average(deepest: Tensor, foreground: Tensor) -> Tensor:
    """Average a feature map over the positions whose cell holds foreground.

    ``deepest`` (batch, dim, g, g, g); ``foreground`` (batch, 1, s, s, s) of 0 and 1. Returns (batch, dim).

    Positions count alike, whatever share of their cell is foreground: weighted by that share, which positions speak
    follows the size of the scan, and so does T (measured by benchmarks/main_job.py).
    """
    weights = F.adaptive_max_pool3d(foreground, deepest.shape[-3:])
    return torch.sum(deepest * weights, dim=(-3, -2, -1)) / weights.sum(dim=(-3, -2, -1)).clamp_min(1e-8)


def foreground_parts(deepest: Tensor, foreground: Tensor, parts: int = PARTS) -> Tensor:
    """Average a feature map over ``parts``³ equal parts of the crop, positions that hold foreground only.

    Shapes as in :func:`foreground_average`; returns (batch, dim · parts³). A part without foreground takes the average
    of the whole: it tells nothing.
    """
    weights = F.adaptive_max_pool3d(foreground, deepest.shape[-3:])
    sums = F.adaptive_avg_pool3d(deepest * weights, parts)
    counts = F.adaptive_avg_pool3d(weights, parts)
    whole = foreground_average(deepest, foreground)[:, :, None, None, None]
    found = torch.where(counts > 0, sums / counts.clamp_min(1e-8), whole)
    return found.flatten(1)
