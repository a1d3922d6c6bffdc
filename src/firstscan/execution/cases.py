"""One function over many cases: the same results, in the same order, wherever it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from firstscan.domain.errors import DataError, UsageError

T = TypeVar("T")
R = TypeVar("R")


class WorkerDied(DataError):
    """The process that worked on one case ended without a word (a crash in a library, or out of memory)."""


class Engine(Protocol):
    """A place where work runs."""

    def __call__(
        self, function: Callable[[T], R], items: Sequence[tuple[str, T]], *, workers: int
    ) -> Iterator[tuple[str, R | Exception]]:
        """Yield ``(case id, result or exception)`` for each item, in the order of ``items``."""


def run_cases(
    function: Callable[[T], R],
    items: Sequence[tuple[str, T]],
    *,
    workers: int | None = None,
    engine: str = "local",
) -> Iterator[tuple[str, R | Exception]]:
    """Run ``function`` on every item and yield ``(case id, result or exception)`` in the order of ``items``.

    ``function`` and the items must be picklable when more than one worker runs; few results wait at any time.
    A process that dies costs only the case that kills it, which yields :class:`WorkerDied`.

    Parameters
    ----------
    workers : processes; None: one a CPU core, and at least one.  1: run here, where a crash ends everything.

    Raises
    ------
    UsageError : an engine that does not exist.
    """
    count = min(workers or usable_cores(), len(items))
    if engine not in _ENGINES:
        raise UsageError(f"no engine is called {engine!r}; there are: {', '.join(sorted(_ENGINES))}")
    run = here if workers == 1 and engine == "local" else _ENGINES[engine]
    yield from run(function, items, workers=max(count, 1))


def usable_cores() -> int:
    """Return the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def here(
    function: Callable[[T], R], items: Sequence[tuple[str, T]], *, workers: int
) -> Iterator[tuple[str, R | Exception]]:
    """Run every item in this process."""
    del workers
    for case_id, item in items:
        try:
            result: R | Exception = function(item)
        except Exception as error:  # the caller decides what an error of one case means
            result = error
        yield case_id, result


def _local(
    function: Callable[[T], R], items: Sequence[tuple[str, T]], *, workers: int
) -> Iterator[tuple[str, R | Exception]]:
    from .processes import in_processes

    return in_processes(function, items, workers=workers)


_ENGINES: dict[str, Engine] = {"local": _local}
