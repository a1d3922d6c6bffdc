"""Encoders behind one protocol, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from firstscan.domain.errors import UsageError

from .conv import ConvEncoder
from .swin import SwinEncoder


@runtime_checkable
class Encoder(Protocol):
    """A network from a cube (batch, channel, s, s, s) to its deepest stage (batch, dim, g, g, g), g = s / stride."""

    dim: int
    stride: int

    def __call__(self, cubes: Tensor) -> Tensor:
        """Return the deepest feature map."""
        ...


ENCODERS: dict[str, Callable[[int], nn.Module]] = {"conv": ConvEncoder, "swin": SwinEncoder}


def build_encoder(name: str, channels: int) -> nn.Module:
    """Return a freshly initialised encoder for cubes of ``channels`` channels.

    Raises
    ------
    UsageError : ``name`` is unknown.
    """
    if name not in ENCODERS:
        raise UsageError(f"unknown encoder {name!r}; known: {', '.join(ENCODERS)}")
    return ENCODERS[name](channels)
