"""Encoders behind one protocol, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from firstscan.domain.errors import UsageError


@runtime_checkable
class Encoder(Protocol):
    """A network from a cube (batch, channel, s, s, s) to its deepest stage (batch, dim, g, g, g), g = s / stride.

    ``views_at_once``: with how many views of a case one CPU core is best busied; part of the result, by rounding.
    """

    dim: int
    stride: int
    views_at_once: int

    def __call__(self, cubes: Tensor) -> Tensor:
        """Return the deepest feature map."""
        ...

    def frozen(self, size: int) -> Callable[[Tensor], Tensor]:
        """Return the same map for cubes of ``size`` voxels while weights do not change: what they imply, done once."""
        ...


def _conv(channels: int) -> nn.Module:
    from .conv import ConvEncoder

    return ConvEncoder(channels)


def _swin(channels: int) -> nn.Module:
    from .swin import SwinEncoder  # MONAI takes seconds to import: only who needs it waits

    return SwinEncoder(channels)


ENCODERS: dict[str, Callable[[int], nn.Module]] = {"conv": _conv, "swin": _swin}


def parameter_count(name: str, channels: int) -> int:
    """Return how many parameters the encoder ``name`` has."""
    return sum(parameter.numel() for parameter in build_encoder(name, channels).parameters())


def encoder_dim(name: str, channels: int) -> int:
    """Return how many channels the deepest stage of the encoder ``name`` has."""
    dim: int = build_encoder(name, channels).dim  # type: ignore[assignment]
    return dim


def build_encoder(name: str, channels: int) -> nn.Module:
    """Return a freshly initialised encoder for cubes of ``channels`` channels.

    Raises
    ------
    UsageError : ``name`` is unknown.
    """
    if name not in ENCODERS:
        raise UsageError(f"unknown encoder {name!r}; known: {', '.join(ENCODERS)}")
    return ENCODERS[name](channels)
