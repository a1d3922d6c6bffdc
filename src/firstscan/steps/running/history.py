"""What happened to a batch after it was chosen: one line a hand-off or collection, beside the results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firstscan.execution import Progress

HANDOFFS, REVIEW = "handoffs.jsonl", "review.jsonl"


def note(results: Path, progress: Progress, **entry: Any) -> None:
    """Append a line to ``handoffs.jsonl``; it is a log for the report and no part of the result's identity.

    A results folder that is gone or cannot be written is no reason to fail: that is said, and the work stands.
    """
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry}, ensure_ascii=False)
    try:
        with (results / HANDOFFS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        progress.say(f"{results} cannot be written ({error.strerror}): its report will not show this.")


def read_log(path: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the entries of a log, oldest first; a line that is no entry is returned as ``{"unread": line}``.

    A log that is absent is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(_entry(line) for line in lines if line.strip())


def _entry(line: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {"unread": line}
    return entry if isinstance(entry, dict) else {"unread": line}
