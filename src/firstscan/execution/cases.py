"""One function over many cases: the same results wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

from firstscan.domain.errors import UsageError

from .memory import GIB, freed_memory_kept
from .work import Place, Work, attempt, usable_cores

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """A way to run work."""

    def __call__(
        self, work: Work[T, R], items: Sequence[tuple[str, T]], place: Place
    ) -> Iterator[tuple[str, R | Exception]]:
        """Yield ``(case id, result or exception)`` once for each item, in any order."""


def run_cases(
    function: Callable[..., R],
    items: Sequence[tuple[str, T]],
    *,
    setup: Callable[[], Any] | None = None,
    workers: int | None = None,
    engine: str = "local",
    cores: int = 1,
    shared: bool = False,
    gpu: bool | None = False,
    sees: Sequence[Path] = (),
) -> Iterator[tuple[str, R | Exception]]:
    """Run ``function`` on every item and yield ``(case id, result or exception)`` as they finish, in any order.

    Items are handed out as workers ask for them, so few items and results wait at any time, however many there are.

    Parameters
    ----------
    setup : makes, once a worker, what the worker keeps (a loaded network); ``function`` then gets it first.
    workers : None: one a CPU core, on a cluster one a core or GPU of it.  1, locally: everything runs in this process.
    engine : ``local``: processes of this machine, where one that dies costs only the case that killed it, which yields
        ``WorkerDied``.  ``ray``: a cluster; a worker that is lost is replaced and its case done again.
    cores : CPU cores that a worker of a cluster computes with, where its node has that many.
    shared : for work that frees the interpreter and cannot crash: local workers are threads and share what was set up.
    gpu : True: every worker of a cluster has a GPU of its own; None: if the cluster has any.
    sees : paths that every worker of a cluster must see, or nothing is begun.

    Functions and items must be picklable unless everything runs in this process.

    Raises
    ------
    UsageError : an engine that does not exist or is not installed, or a cluster that cannot do the work.
    """
    check_engine(engine)
    if not items:
        return
    place = Place(workers, cores, shared, gpu, tuple(sees))
    local = here if workers == 1 else _ENGINES["local"]
    yield from (local if engine == "local" else _ENGINES[engine])(Work(function, setup), items, place)


def check_engine(name: str) -> None:
    """Raise UsageError where an engine does not exist or is not installed."""
    if name not in _ENGINES:
        raise UsageError(f"no engine is called {name!r}; there are: {', '.join(sorted(_ENGINES))}")
    if name == "ray" and find_spec("ray") is None:
        raise UsageError('--engine ray needs Ray, which is not installed here. Install it: pip install "ray>=2.40"')


def here(work: Work[T, R], items: Sequence[tuple[str, T]], place: Place) -> Iterator[tuple[str, R | Exception]]:
    """Run every item in this process, in order."""
    del place
    do = work.made()
    with freed_memory_kept(GIB):
        for case_id, item in items:
            yield case_id, attempt(do, item)


def _local(work: Work[T, R], items: Sequence[tuple[str, T]], place: Place) -> Iterator[tuple[str, R | Exception]]:
    workers = max(min(place.workers or usable_cores(), len(items)), 1)
    if place.shared:
        from .threads import in_threads

        return in_threads(work, items, workers=workers)
    from .processes import in_processes

    return in_processes(work, items, workers=workers)


def _ray(work: Work[T, R], items: Sequence[tuple[str, T]], place: Place) -> Iterator[tuple[str, R | Exception]]:
    from .cluster import on_cluster

    return on_cluster(work, items, place)


_ENGINES: dict[str, Engine] = {"local": _local, "ray": _ray}
