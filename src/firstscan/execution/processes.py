"""Local processes that survive a crash in one of them.

The pool is loky's (shipped with joblib): workers start clean, never import the caller's ``__main__``, so that a
script without a ``__main__`` guard works, and take environment variables before any library reads them.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]
from joblib.externals.loky.process_executor import BrokenProcessPool  # type: ignore[import-untyped]

from .memory import GIB, keep_freed_memory
from .work import Work, WorkerDied

T = TypeVar("T")
R = TypeVar("R")

_WAITING_PER_WORKER = 2  # what loky hands over at once; ending it while more wait makes its thread complain
_IDLE_S = 60
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}


def in_processes(
    work: Work[T, R], items: Sequence[tuple[str, T]], *, workers: int
) -> Iterator[tuple[str, R | Exception]]:
    """Run items in ``workers`` processes of one thread each; see :func:`firstscan.execution.run_cases`."""
    pending = deque(items)
    while pending:
        try:
            for case_id, result in _stream(work, tuple(pending), workers):
                pending.popleft()
                yield case_id, result
        except _PoolBrokenError as broken:
            for _ in range(min(broken.in_flight, len(pending))):
                case_id, item = pending.popleft()
                yield case_id, _alone(work, case_id, item)


class _PoolBrokenError(Exception):
    """A worker died; one of the ``in_flight`` first unfinished cases did it."""

    def __init__(self, in_flight: int) -> None:
        super().__init__(in_flight)
        self.in_flight = in_flight


def _stream(work: Work[T, R], items: Sequence[tuple[str, T]], workers: int) -> Iterator[tuple[str, R | Exception]]:
    """Yield results in order until all are there or a worker dies, which raises _PoolBrokenError."""
    pool = executor(workers)
    queue: deque[tuple[str, Any]] = deque()
    waiting = deque(items)
    finished = False
    try:
        while queue or waiting:
            while waiting and len(queue) < _WAITING_PER_WORKER * workers:
                case_id, item = waiting.popleft()
                queue.append((case_id, pool.submit(guarded, work, item)))
            case_id, future = queue[0]
            result = future.result()
            queue.popleft()
            yield case_id, result
        finished = True
    except BrokenProcessPool as error:
        raise _PoolBrokenError(max(len(queue), 1)) from error
    finally:
        if not finished:
            silence_manager()
        pool.shutdown(wait=finished, kill_workers=not finished)


def silence_manager() -> None:
    """Keep loky's manager thread from printing a traceback where work is given up that was not begun.

    It looks for that work once more after it has dropped it (KeyError); what ended the work has been raised already.
    """
    shown = threading.excepthook
    if getattr(shown, "silences_manager", False):
        return

    def hook(args: threading.ExceptHookArgs) -> None:
        of_manager = args.thread is not None and args.thread.name.startswith("ExecutorManagerThread")
        if not (of_manager and issubclass(args.exc_type, KeyError)):
            shown(args)

    hook.silences_manager = True  # type: ignore[attr-defined]
    threading.excepthook = hook


def _alone(work: Work[T, Any], case_id: str, item: T) -> Any:
    """Run one case in a process of its own, to learn whether it is the one that kills."""
    pool = executor(1)
    try:
        return pool.submit(guarded, work, item).result()
    except BrokenProcessPool:
        return WorkerDied(
            f"The process that worked on case {case_id!r} died twice. Its file may be damaged in a way that crashes "
            "the reading library, or the memory ran out: remove or convert the file, or use fewer --workers."
        )
    finally:
        pool.shutdown(wait=True, kill_workers=False)


def executor(workers: int) -> Any:
    """Return a pool of ``workers`` processes of one thread each, which end when idle or when their parent is gone."""
    return ProcessPoolExecutor(
        max_workers=workers, timeout=_IDLE_S, env=ONE_THREAD, initializer=_start_worker, initargs=(os.getpid(),)
    )


_kept: dict[str, Callable[[Any], Any]] = {}


def guarded(work: Work[T, R], item: T) -> R | Exception:
    """Do one item in a worker, which keeps what its work made for the next one; an exception comes back as a value."""
    try:
        if work.token not in _kept:
            _kept.clear()
            _kept[work.token] = work.made()
        result: R = _kept[work.token](item)
        return result
    except Exception as error:  # travels back as a value, so that one case never breaks the pool
        return portable(error)


def portable(error: Exception) -> Exception:
    """Return an exception that can travel between processes and still says what ``error`` said."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _start_worker(parent: int) -> None:
    """Prepare a worker; it ends at once when it is told to, because unloading libraries such as torch takes seconds."""
    atexit.register(os._exit, 0)
    keep_freed_memory(GIB)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker soon after its parent, so that a killed run leaves nothing behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
