"""What a GPU needs and a processor does not: repeatable kernels, and a way on where memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

OTHERWISE = "use --preset fast, whose network takes a fraction of the memory, or --device cpu"
"""What helps where our own network does not fit."""


class InParts:
    """A network that is given its batch in ``parts``; with more than one, what it needs on the way is computed twice.

    The result is that of the whole batch, up to rounding: no layer here looks from one cube at another. Memory then
    holds the intermediate values of one part at a time.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.parts = 1

    def __call__(self, cubes: Tensor) -> tuple[Tensor, ...]:
        """Return the network's outputs for ``cubes`` (batch, …)."""
        if self.parts == 1:
            whole: tuple[Tensor, ...] = self.model(cubes)
            return whole
        found = [
            checkpoint(self.model, part, use_reentrant=False, preserve_rng_state=False)
            for part in cubes.chunk(self.parts)
        ]
        return tuple(torch.cat(outputs) for outputs in zip(*found, strict=True))


def too_small(work: str, remedy: str) -> str:
    """Return the message where a GPU's memory runs out for the smallest batch that is tried."""
    return f"the GPU's memory is too small to {work}; end other programs that use it, or {remedy}"


@contextmanager
def repeatable() -> Iterator[None]:
    """Let cuDNN choose only kernels that give the same bytes each time, as far as they say; then as it was before."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
