"""Threads of this process that share what was set up: for arithmetic that frees the interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from .work import Work, attempt

T = TypeVar("T")
R = TypeVar("R")

_WAITING_PER_WORKER = 2


def in_threads(
    work: Work[T, R], items: Sequence[tuple[str, T]], *, workers: int
) -> Iterator[tuple[str, R | Exception]]:
    """Run items in ``workers`` threads; see :func:`firstscan.execution.run_cases`."""
    do = work.made()
    waiting = iter(items)
    running: dict[Future[R | Exception], str] = {}
    pool = ThreadPoolExecutor(workers, thread_name_prefix="firstscan")
    try:
        while True:
            while len(running) < _WAITING_PER_WORKER * workers and (case := next(waiting, None)) is not None:
                running[pool.submit(attempt, do, case[1])] = case[0]
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
