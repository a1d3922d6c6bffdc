"""What engines are given and hand back: the work, the place it may run in, and an item's result or exception."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from firstscan.domain.errors import DataError

T = TypeVar("T")
R = TypeVar("R")


class WorkerDied(DataError):
    """The process that worked on one case ended without a word (a crash in a library, or out of memory)."""


@dataclass(frozen=True)
class Work(Generic[T, R]):
    """What is done with every case: ``function(item)`` or, where there is ``setup``, ``function(setup(), item)``."""

    function: Callable[..., R]
    setup: Callable[[], Any] | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def made(self) -> Callable[[T], R]:
        """Return the function of one item, having made what it needs."""
        return self.function if self.setup is None else partial(self.function, self.setup())


@dataclass(frozen=True)
class Place:
    """Where work may run.

    ``workers``: how many, None for all there is.  ``cores``: what each takes of a cluster's node.  ``shared``: threads
    may share what ``setup`` made.  ``gpu``: a worker needs one; None: it takes one where there are any.  ``sees``:
    paths that every worker must be able to see.
    """

    workers: int | None = None
    cores: int = 1
    shared: bool = False
    gpu: bool | None = False
    sees: tuple[Path, ...] = ()


def attempt(do: Callable[[T], R], item: T) -> R | Exception:
    """Return the result, or the exception as a value: the caller decides what an error of one case means."""
    try:
        return do(item)
    except Exception as error:
        return error


def usable_cores() -> int:
    """Return the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
