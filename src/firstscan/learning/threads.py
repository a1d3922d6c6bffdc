"""CPU threads without a say in the result.

Some kernels of torch (group norm channels last, convolutions of many channels, sums to one number) add in an order that
depends on how many threads share them. They run on one thread, so that the same scan gives the same bytes on a laptop
and on a node with 64 cores; several cases are measured side by side instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads in the block, in this thread and in those begun within."""
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)


def cases_at_once(encoder: str) -> int | None:
    """Return how many cases to measure side by side on a CPU; None: one a core.

    The transformer's own kernels do not depend on the number of threads, and a case of it fills the memory of a laptop:
    one at a time with all threads. The convolutional network is small: one case a core.
    """
    return 1 if encoder == "swin" else None
