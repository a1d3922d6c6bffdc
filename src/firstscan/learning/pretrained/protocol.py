"""What an adapter offers: a network that maps inputs of one shape to features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from firstscan.domain.encoding import EncoderInput


@runtime_checkable
class Adapter(Protocol):
    """A pretrained network.

    ``channels`` of its input (None: any), ``largest_batch`` that it takes at once (None: any).
    """

    channels: int | None
    largest_batch: int | None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map (batch, channel, i, j, k), axes as its ``EncoderInput.axes``, to (batch, dim) or (batch, dim, a, b, c).

        For slices: (batch, 1, i, j) to tokens (batch, dim, a, b).
        """
        ...


@dataclass(frozen=True)
class Source:
    """Where an adapter is loaded from: a name for ``--encoder``, the file, the input described, ``cpu`` or ``cuda``."""

    name: str
    path: Path
    given: EncoderInput
    device: str
