"""One process beside this one, for what a long-lived command asks for now and then and must not do itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .work import Work, WorkerDied

T = TypeVar("T")
R = TypeVar("R")


class Beside(Generic[T, R]):
    """Calls ``function`` in a process of its own, one item at a time; safe to call from several threads.

    The process starts with the first call, keeps what ``setup`` made (see :func:`firstscan.execution.run_cases`),
    ends after a minute without work and is started again when it is needed. ``function`` must be picklable.
    """

    def __init__(self, function: Callable[..., R], setup: Callable[[], Any] | None = None) -> None:
        self._work: Work[T, R] = Work(function, setup)
        self._lock = threading.Lock()
        self._executor: Any = None
        self._closed = False

    def __call__(self, case_id: str, item: T) -> R:
        """Return what the function makes of ``item``, or raise what it raised.

        Raises
        ------
        WorkerDied : the process ended without a word, or has been closed.
        """
        from joblib.externals.loky.process_executor import (  # type: ignore[import-untyped]
            BrokenProcessPool,
            ShutdownExecutorError,
        )

        from .processes import executor, guarded

        with self._lock:
            if self._closed:
                raise WorkerDied(f"{case_id} was not worked on: the command is ending.")
            if self._executor is None:
                self._executor = executor(1)
            working = self._executor
        try:
            result = working.submit(guarded, self._work, item).result()
        except (BrokenProcessPool, ShutdownExecutorError) as error:
            with self._lock:
                if self._executor is working:
                    self._executor = None
            raise WorkerDied(
                f"The process that worked on {case_id} died. Its file may be damaged in a way that crashes the reading "
                "library, or the memory ran out."
            ) from error
        if isinstance(result, Exception):
            raise result
        made: R = result
        return made

    def close(self) -> None:
        """End the process, whatever it is at."""
        from .processes import silence_manager

        with self._lock:
            self._closed = True
            working, self._executor = self._executor, None
        if working is not None:
            silence_manager()
            working.shutdown(wait=False, kill_workers=True)
