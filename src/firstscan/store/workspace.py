"""An output folder while a run works in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstscan.domain.errors import UsageError

from .atomic import remove_leftovers, write_error
from .in_place import roll_back
from .lock import HOLDER, LOCK, output_lock

LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where results (``out``) and what can be computed again (``out/work``) live.

    ``shared``: the folder of caches, where several workspaces have them in common; what is cached is named by content.
    """

    out: Path
    shared: Path | None = None

    @property
    def work(self) -> Path:
        """Caches, checkpoints and the log: safe to delete, used to resume."""
        return self.out / "work"

    @property
    def holder(self) -> Path:
        """The file that says which run holds the folder; it is there while one does."""
        return self.work / HOLDER

    def folder(self, *names: str) -> Path:
        """Create and return a folder below ``work``, or below ``shared``."""
        path = (self.shared or self.work).joinpath(*names)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(path, error) from error
        return path

    def log(self, event: str, **fields: Any) -> None:
        """Append one line to ``work/log.jsonl``, the only place that holds times."""
        line = json.dumps({"time": round(time.time(), 3), "pid": os.getpid(), "event": event, **fields})
        try:
            with (self.work / LOG).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise write_error(self.work / LOG, error) from error


@contextmanager
def open_workspace(out: Path, shared: Path | None = None) -> Iterator[Workspace]:
    """Create ``out``, hold it against other runs, and clear what a killed run left half-written.

    Where the block fails before anything was kept in a folder that was not there before, the folder goes again.
    Raises UsageError where it is a file, cannot be created or written, or another run holds it.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; a folder is needed for the results. Give another name.")
    blocking = next((p for p in out.parents if p.exists() and not p.is_dir()), None)
    if blocking is not None:
        raise UsageError(f"--out {out} cannot be created: {blocking} is a file. Give another folder.")
    workspace = Workspace(out, shared)
    new = [path for path in (out, *out.parents) if not path.exists()]
    try:
        workspace.work.mkdir(parents=True, exist_ok=True)
        (workspace.work / LOG).open("a").close()
    except OSError as error:
        raise write_error(out, error) from error
    with output_lock(workspace.work):
        remove_leftovers(out)
        roll_back(out)
        try:
            yield workspace
        except BaseException:
            _remove_unused(workspace, new)
            raise


def _remove_unused(workspace: Workspace, new: Sequence[Path]) -> None:
    """Remove ``out`` and what is ``new`` above it where nothing was kept in there; the lock is still held."""
    work, files = workspace.work, [workspace.work / name for name in (HOLDER, LOCK, LOG)]
    if workspace.out not in new or any(path not in (work, *files) for path in workspace.out.rglob("*")):
        return
    with suppress(OSError):  # somebody has put something there meanwhile
        for path in files:
            path.unlink(missing_ok=True)
        for folder in (work, *new):
            folder.rmdir()
