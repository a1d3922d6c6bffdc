"""Blocks of work side by side, one core each: many small matrix products wait for each other when each uses all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the result of every item in order; results do not depend on the number of cores (``OMP_NUM_THREADS``)."""
    import faiss
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(faiss.omp_get_max_threads(), initializer=_one_core) as cores:
        yield from cores.map(work, items)


def _one_core() -> None:
    import faiss

    faiss.omp_set_num_threads(1)
