"""A small convolutional encoder, laid out so that two CPU cores do useful work."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3³ convolutions with group norm, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv3d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv3d(width, width, 3, padding=1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        out: Tensor = features + self.body(features)
        return out


class ConvEncoder(nn.Module):
    """Patch embedding at stride 4, then residual stages at strides 4, 8 and 16.

    Nearly all arithmetic happens on 12³ or fewer positions of a 48³ cube: 3³ convolutions with tens of
    channels, the shape for which CPU convolution kernels run near their peak.
    """

    dim = 192
    stride = 16
    views_at_once = 5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            nn.Conv3d(channels, 32, 4, stride=4),
            ResidualBlock(32),
            nn.Conv3d(32, 96, 2, stride=2),
            ResidualBlock(96),
            nn.Conv3d(96, self.dim, 2, stride=2),
            ResidualBlock(self.dim),
            nn.GroupNorm(8, self.dim),
        )

    def forward(self, cubes: Tensor) -> Tensor:
        """Map (batch, channel, s, s, s) to (batch, 192, s/16, s/16, s/16)."""
        out: Tensor = self.stages(cubes)
        return out

    def frozen(self, size: int) -> Callable[[Tensor], Tensor]:
        """Return the map itself: nothing in it can be done beforehand."""
        del size
        return self
