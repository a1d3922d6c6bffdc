"""torch.compile where it works, the plain function where it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

LOGGER = logging.getLogger(__name__)


class Compiled:
    """``function``, compiled for the shapes it is first called with; plain for good once compiling has failed.

    Memory that runs out is no failure of the compiler and is raised.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function
        self._fast: Callable[[Tensor], Tensor] | None = torch.compile(function, dynamic=False)

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return ``function`` of ``tensor``."""
        if self._fast is not None:
            try:
                return self._fast(tensor)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                first = str(error).partition("\n")[0]
                LOGGER.warning("going on without torch.compile: %s: %s", type(error).__name__, first)
                self._fast = None
        return self.function(tensor)
