"""Passes side by side on a CPU: one thread a pass, so that no result depends on how many threads there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

In = TypeVar("In")
Out = TypeVar("Out")


class Lanes:
    """``count`` threads, each of which computes alone.

    The usual way, all threads share each operation, makes them wait for each other thousands of times a second, which
    on a busy machine costs many times the arithmetic. ``count`` None: as many as torch would use.
    """

    def __init__(self, count: int | None = None) -> None:
        usual = torch.get_num_threads()
        self.count = count or usual
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="lane")
        together = Barrier(self.count + 1)

        def settle() -> None:
            torch.get_num_threads()  # a thread that was never asked takes the number set last, whatever it is told now
            torch.set_num_threads(1)
            together.wait()

        for _ in range(self.count):
            self._pool.submit(settle)
        together.wait()
        torch.set_num_threads(usual)  # the last word counts for threads yet to come, not for these

    def map(self, compute: Callable[[In], Out], inputs: Iterable[In]) -> list[Out]:
        """Return ``compute`` of every input, in order; without gradients.  Raises what it raises."""

        def alone(one: In) -> Out:
            with torch.inference_mode():
                return compute(one)

        return list(self._pool.map(alone, inputs))
