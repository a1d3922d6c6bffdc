"""``history.jsonl``: all that was done to a batch, one line each, by every command, never changed afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock

from firstscan.domain.errors import DataError
from firstscan.store import atomic_write, to_plain
from firstscan.store.atomic import write_error

NAME, LOCK = "history.jsonl", "history.lock"
BATCHES = "history"
"""The folder of the batches that entries name, each as its ``selection.json`` was, by content."""
HANDOFF, COLLECT, NOTE, DONE = "handoff", "collect", "note", "done"
RECORDS = frozenset({HANDOFF, COLLECT, NOTE, DONE})
"""Actions that change neither the batch nor what a person has said of it."""
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: ``seq`` counts from 1, ``time`` is ISO 8601 in UTC, ``case_id`` None where it is about no scan.

    ``command`` says which command did it. ``detail`` holds what came of it, so that a history can be read, and
    replayed, without computing anything again.
    """

    seq: int
    time: str
    action: str
    case_id: str | None = None
    why: str = ""
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    command: str = "review"

    def line(self) -> str:
        """Return the entry as one line of JSON."""
        body = {name: getattr(self, name) for name in ("seq", "time", "command", "action", "case_id", "why")}
        return json.dumps({**body, "detail": to_plain(dict(self.detail))}, ensure_ascii=False, allow_nan=False)


def event(
    command: str, action: str, case_id: str | None = None, why: str = "", detail: Mapping[str, Any] | None = None
) -> Event:
    """Return an entry that is not written yet: it has no number until :meth:`History.append` gives it one."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Event(0, now, action, case_id, why, detail or {}, command)


class History:
    """The history of one results folder; several processes may append to it.

    A last line that a crash has cut short was never confirmed: it does not count, and the next entry takes its place.
    """

    def __init__(self, out: Path) -> None:
        self._path, self._lock = out / NAME, out / "work" / LOCK
        self._events: list[Event] = []
        self._size = 0
        self.cut_short = False
        self._read()

    @property
    def events(self) -> tuple[Event, ...]:
        """Every entry so far, oldest first."""
        return tuple(self._events)

    def append(self, entry: Event) -> Event:
        """Write an entry and return it with its number; when this returns it is on the disk.

        Raises
        ------
        DataError, UsageError : it cannot be written; then the history is as it was.
        """
        try:
            with self.alone():
                self._read()
                numbered = replace(entry, seq=len(self._events) + 1)
                content = (numbered.line() + "\n").encode()
                with self._path.open("ab", buffering=0) as file:
                    try:
                        os.ftruncate(file.fileno(), self._size)  # what a crash has left of a line
                        if file.write(content) != len(content):
                            raise OSError(28, "No space left on device")
                        os.fsync(file.fileno())
                    except OSError:
                        os.ftruncate(file.fileno(), self._size)
                        raise
        except OSError as error:
            raise write_error(self._path, error) from error
        self._events.append(numbered)
        self._size += len(content)
        return numbered

    def begin(self, entries: Iterable[Event]) -> None:
        """Write the first entries, numbered as they are, at once; :meth:`alone` is held, and there are none yet."""
        atomic_write(self._path, "".join(entry.line() + "\n" for entry in entries))
        self._read()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from appending.  Raises OSError where that cannot be had."""
        self._lock.parent.mkdir(exist_ok=True)
        with FileLock(self._lock, timeout=WAIT_S):
            yield

    def _read(self) -> None:
        """Read what is new in the file."""
        size = self._path.stat().st_size if self._path.is_file() else 0
        if size == self._size:
            return
        content = self._path.read_bytes() if size else b""
        whole, newline, rest = content.rpartition(b"\n")
        lines = whole.split(b"\n") if newline else []
        self._events = [read_event(self._path, number, line) for number, line in enumerate(lines, start=1)]
        self._size, self.cut_short = len(whole) + len(newline), bool(rest)


def read_event(path: Path, number: int, line: bytes) -> Event:
    """Return the entry of a line.  Raises DataError where it is none, or not the one of that ``number``."""
    try:
        row = json.loads(line)
        found = Event(
            int(row["seq"]), str(row["time"]), str(row["action"]), row["case_id"], str(row["why"]),
            dict(row["detail"]), str(row.get("command", "review")),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}, line {number}, is no entry of a history ({error!r}). Restore the file, or move it away: the "
            "batch is then taken as selection.json holds it, and a new history begins."
        ) from error
    if found.seq != number:
        raise DataError(
            f"{path}, line {number}, is entry {found.seq}: lines are missing or doubled. Restore the file, or move it "
            "away: the batch is then taken as selection.json holds it, and a new history begins."
        )
    return found
