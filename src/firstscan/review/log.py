"""``review.jsonl``: what was done to a batch, one action a line, never changed afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from firstscan.domain.errors import DataError
from firstscan.store import to_plain
from firstscan.store.atomic import write_error

NAME = "review.jsonl"


@dataclass(frozen=True, slots=True)
class Event:
    """One action: ``seq`` counts from 1, ``time`` is ISO 8601 in UTC, ``case_id`` None where it is about no scan.

    ``detail`` holds what came of it, so that a log can be read, and replayed, without computing anything again.
    """

    seq: int
    time: str
    action: str
    case_id: str | None = None
    why: str = ""
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def line(self) -> str:
        """Return the event as one line of JSON."""
        body = {name: getattr(self, name) for name in ("seq", "time", "action", "case_id", "why")}
        return json.dumps({**body, "detail": to_plain(dict(self.detail))}, ensure_ascii=False, allow_nan=False)


class ReviewLog:
    """The log of one results folder; a line that a crash has cut short was never confirmed, and is taken off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events, self.cut_short = _read(path)

    @property
    def events(self) -> tuple[Event, ...]:
        """Every action so far, oldest first."""
        return tuple(self._events)

    def event(
        self, action: str, case_id: str | None = None, why: str = "", detail: Mapping[str, Any] | None = None
    ) -> Event:
        """Return the next event; it is not written yet."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Event(self._events[-1].seq + 1 if self._events else 1, now, action, case_id, why, detail or {})

    def append(self, event: Event) -> None:
        """Write an event; when this returns it is on the disk.

        Raises
        ------
        DataError, UsageError : it cannot be written; then the log is as it was.
        """
        content = (event.line() + "\n").encode()
        try:
            with self._path.open("ab", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                try:
                    if file.write(content) != len(content):
                        raise OSError(28, "No space left on device")
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), size)
                    raise
        except OSError as error:
            raise write_error(self._path, error) from error
        self._events.append(event)


def _read(path: Path) -> tuple[list[Event], bool]:
    """Return the events of a log, and whether its last line was cut short (and has been taken off the file)."""
    if not path.is_file():
        return [], False
    content = path.read_bytes()
    whole, newline, rest = content.rpartition(b"\n")
    if rest:
        os.truncate(path, len(whole) + len(newline))
    lines = whole.split(b"\n") if whole else []
    events = [_event(path, number, line) for number, line in enumerate(lines, start=1)]
    return events, bool(rest)


def _event(path: Path, number: int, line: bytes) -> Event:
    try:
        row = json.loads(line)
        event = Event(
            int(row["seq"]), str(row["time"]), str(row["action"]), row["case_id"], str(row["why"]), dict(row["detail"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}, line {number}, is not an action of a review ({error!r}). Restore the file, or move it away to "
            "begin a new review."
        ) from error
    if event.seq != number:
        raise DataError(
            f"{path}, line {number}, is action {event.seq}: lines are missing or doubled. Restore the file, or move it "
            "away to begin a new review."
        )
    return event
