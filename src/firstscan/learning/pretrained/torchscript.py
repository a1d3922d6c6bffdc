"""Any network that was exported as TorchScript: a program, so of a publisher that you trust."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from firstscan.domain.errors import UsageError

from .files import check_finite
from .matching import likely
from .protocol import Source


class TorchScript:
    """A scripted or traced network: (batch, channel, i, j, k) to (batch, dim) or (batch, dim, a, b, c)."""

    channels: int | None
    largest_batch: int | None = None

    def __init__(self, source: Source) -> None:
        if not source.path.is_file():
            raise UsageError(f"--checkpoint {source.path}: there is no such file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the format is at rest, not gone
                network: Any = torch.jit.load(source.path, map_location=source.device)  # type: ignore[no-untyped-call]
            self.network = network.eval()
        except Exception as error:
            raise UsageError(
                f"--checkpoint {source.path} is not a TorchScript file ({str(error).splitlines()[0][:160]}). "
                f"{_what_it_is(source)}"
            ) from error
        check_finite(dict(self.network.state_dict()), source.path)
        kernels = [p for p in self.network.parameters() if p.ndim == 5]
        self.channels = int(kernels[0].shape[1]) if kernels else None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the network's output; of several, the last."""
        try:
            output = self.network(inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise refused(error, inputs) from error
        while isinstance(output, list | tuple) and output:
            output = output[-1]
        return checked(output, len(inputs))


def refused(error: Exception, inputs: Tensor) -> UsageError:
    """Return the error that says that a network does not take such an input."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1][:200] if lines else type(error).__name__
    return UsageError(
        f"the network does not take an input of {'×'.join(map(str, inputs.shape))} (batch, channel, x, y, z): {last}; "
        "say with --input-size what it takes"
    )


def checked(output: Any, batch: int) -> Tensor:
    """Return an output that holds features.  Raises UsageError where it does not."""
    if not isinstance(output, Tensor) or output.ndim not in {2, 5} or len(output) != batch:
        found = "×".join(map(str, output.shape)) if isinstance(output, Tensor) else type(output).__name__
        raise UsageError(
            f"the network gives {found} for {batch} input(s); it has to give features (batch, dim) or a map "
            "(batch, dim, i, j, k): export it with its pooling and without its head"
        )
    return output


def _what_it_is(source: Source) -> str:
    """Return which encoder the file would serve, should it hold plain weights."""
    from .files import read_state

    try:
        return likely(read_state(source.path), source.name)
    except UsageError:
        return "Export the network with torch.jit.trace or torch.jit.script and save it with torch.jit.save"
