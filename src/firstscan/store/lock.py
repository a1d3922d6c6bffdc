"""One run at a time in one output folder."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from firstscan.domain.errors import UsageError

HOLDER, LOCK = "run.json", "run.lock"


@contextmanager
def output_lock(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; the lock ends with the process, however it ends.

    Raises UsageError naming the run that holds it.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    holder = folder / HOLDER
    try:
        lock.acquire()
    except Timeout as error:
        raise UsageError(
            f"Another run is writing to {folder.parent}: {_described(holder)}. Wait until it ends, end it, or choose "
            "another --out."
        ) from error
    try:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _described(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f"process {who['pid']} on {who['host']}, started {who['started']}"
    except (OSError, ValueError, KeyError):
        return "a process that has just started"
