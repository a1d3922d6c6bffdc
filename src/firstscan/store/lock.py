"""One run at a time in one output folder."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from firstscan.domain.errors import UsageError


class InUseError(UsageError):
    """Another run holds the folder."""


HOLDER, LOCK = "run.json", "run.lock"
COMMANDS = {"firstscan review": "its review page (end it with Ctrl-C in its terminal)"}
"""Commands that are better told in other words."""


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
        raise InUseError(
            f"{folder.parent} is in use by {_described(holder)}. Wait until it ends, end it, or choose another --out."
        ) from error
    try:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        told = {"command": _command(), "pid": os.getpid(), "host": socket.gethostname(), "started": started}
        holder.write_text(json.dumps(told))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def holding(folder: Path) -> str:
    """Return the command that holds ``folder`` now, as ``firstscan review``; empty where none does."""
    lock = FileLock(folder / LOCK, timeout=0)
    if not (folder / HOLDER).is_file():
        return ""
    try:
        lock.acquire()
    except Timeout:
        try:
            return str(json.loads((folder / HOLDER).read_text()).get("command", ""))
        except (OSError, ValueError):
            return ""
    except OSError:
        return ""
    lock.release()
    return ""


def _command() -> str:
    """Return the command that this process runs, as ``firstscan select``; empty where it is none of ours."""
    given = next((a for a in sys.argv[1:] if not a.startswith("-")), "")
    ours = Path(sys.argv[0]).name == "firstscan" or "firstscan" in Path(sys.argv[0]).parts
    return f"firstscan {given}" if ours and given else ""


def _described(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        what = COMMANDS.get(who.get("command", ""), who.get("command") or "another run")
        return f"{what} (process {who['pid']} on {who['host']}, started {who['started']})"
    except (OSError, ValueError, KeyError):
        return "a process that has just started"
