"""The history of a results folder that has none: of 0.2, of logs that were kept apart, or moved away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstscan.domain.errors import FirstscanError, UsageError
from firstscan.domain.selection import Selection
from firstscan.execution import Progress
from firstscan.store import atomic_write, read_manifest, read_selection, to_plain
from firstscan.store.atomic import write_error

from .history import BATCHES, COLLECT, HANDOFF, NOTE, Event, History, event, read_event
from .replay import AMENDMENTS, BEGIN, EXPORT, UNDO, VETOED, State, replay

REVIEW, HANDOFFS = "review.jsonl", "handoffs.jsonl"
"""What versions before 0.3.0 kept; they are read once and stay as they are."""
FIRST_BATCHES = "review"


def history_of(out: Path) -> History:
    """Return the history of a results folder; one that has none gets it, with what older logs there tell.

    Raises
    ------
    DataError : a log that is damaged.  DataError, UsageError : it cannot be written.
    """
    history = History(out)
    if history.events:
        return history
    try:
        with history.alone():
            history = History(out)
            if not history.events:
                history.begin(first_events(out))
    except OSError as error:
        raise write_error(out, error) from error
    return history


def note(results: Path, progress: Progress, action: str, **detail: Any) -> None:
    """Append a hand-off or a collection to the history of ``results``; it is no part of the result's identity.

    A results folder that is gone or cannot be written is no reason to fail: that is said, and the work stands.
    """
    try:
        if not results.is_dir():
            raise UsageError("it is no folder")
        history_of(results).append(event(action, action, detail=detail))
    except FirstscanError as error:
        progress.say(f"{results} cannot be written ({error}): its report will not show this.")


def keep_batch(out: Path, content: str | bytes) -> str:
    """Keep the text of a ``selection.json`` beside the history, and return its name within ``out``."""
    raw = content.encode() if isinstance(content, str) else content
    name = f"{BATCHES}/{hashlib.sha256(raw).hexdigest()[:16]}.json"
    if not (out / name).is_file() or (out / name).read_bytes() != raw:
        (out / BATCHES).mkdir(exist_ok=True)
        atomic_write(out / name, raw)
    return name


def whole(selection: Selection, file: str, **more: Any) -> dict[str, Any]:
    """Return the detail of an entry that says what the whole batch is; ``file`` holds it."""
    gone = {str(row["removed"]): str(row["why"]) for row in selection.diagnostics.get("replacements", ())}
    vetoed = {**gone, **selection.diagnostics.get(VETOED, {})}
    told = {"strategy": selection.strategy, "budget": selection.budget, "seed": selection.seed, "vetoed": vetoed}
    return {**told, "picks": to_plain(selection.picks), "file": file, **more}


def first_events(out: Path) -> list[Event]:
    """Return the entries with which the history of ``out`` begins, numbered."""
    found, content = read_selection(out), (out / "selection.json").read_bytes()
    manifest = read_manifest(out)
    amendments = [] if manifest is None else list(manifest.config.get(AMENDMENTS, ()))
    reviewed = _of_reviews(out, amendments)
    entries = _merged(reviewed, _of_handoffs(out))
    state = replay(entries)
    known = _is_known(out, reviewed, state, found)
    if not (known and state.frame.file and state.case_ids != found.case_ids):
        entries += _afresh(out, state, found, content, amendments, known=known)
    else:
        entries.append(event("review", NOTE, why="what was decided in a review and not exported counts now"))
    return [replace(entry, seq=number) for number, entry in enumerate(entries, start=1)]


def _afresh(
    out: Path, state: State, found: Selection, content: bytes, amendments: Sequence[Any], *, known: bool
) -> list[Event]:
    """Return the entries that take the batch as the folder holds it."""
    detail = whole(found, keep_batch(out, content), amendments=amendments)
    entries = [event("review", BEGIN, detail=detail)]
    back = [i for i in found.case_ids if i in state.vetoed]
    if back:
        text = f"vetoed in an earlier review, and in the batch: {', '.join(back)}; veto them again"
        entries.append(event("review", NOTE, why=text))
    elif known and state.case_ids != found.case_ids:
        chosen = f"another batch ({len(state.picks)} scans)"
        text = f"an earlier review had chosen {chosen} and never exported it: it is dropped"
        entries.append(event("review", NOTE, why=text))
    return entries


def _of_reviews(out: Path, amendments: Sequence[Any]) -> list[Event]:
    """Return the entries of ``review.jsonl``; its first batches are where they were."""
    path = out / REVIEW
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end was never confirmed
    entries = [read_event(path, number, line) for number, line in enumerate(lines, start=1)]
    last = max((e.seq for e in entries if e.action == BEGIN), default=0)
    return [_with_file(out, e, amendments if e.seq == last else ()) if e.action == BEGIN else e for e in entries]


def _with_file(out: Path, begun: Event, amendments: Sequence[Any]) -> Event:
    name = f"{FIRST_BATCHES}/selection-{begun.seq:04d}.json"
    file = {"file": name} if (out / name).is_file() else {}
    return replace(begun, detail={**begun.detail, "amendments": list(amendments), **file})


def _of_handoffs(out: Path) -> list[Event]:
    """Return the entries of ``handoffs.jsonl``; a line that is none is kept as a note."""
    path = out / HANDOFFS
    if not path.is_file():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            action = row.pop("action")
        except (ValueError, KeyError, AttributeError, TypeError):
            action, row = "", {"unread": line}
        if action in {HANDOFF, COLLECT}:
            time = str(row.pop("time", ""))
            entries.append(Event(0, time, action, None, "", row, action))
        elif line.strip():
            entries.append(event(HANDOFF, NOTE, why=f"a line that cannot be read: {line[:200]}"))
    return entries


def _merged(reviewed: Sequence[Event], handed: Sequence[Event]) -> list[Event]:
    """Return both by time, each in its own order, numbered anew."""
    entries: list[Event] = []
    numbers: dict[int, int] = {}
    rest = list(handed)
    for entry in reviewed:
        while rest and rest[0].time < entry.time:
            entries.append(replace(rest.pop(0), seq=len(entries) + 1))
        numbers[entry.seq] = len(entries) + 1
        detail: Mapping[str, Any] = entry.detail
        if entry.action == UNDO:
            detail = {**detail, "undoes": numbers[int(detail["undoes"])]}
        entries.append(replace(entry, seq=len(entries) + 1, detail=detail))
    for entry in rest:
        entries.append(replace(entry, seq=len(entries) + 1))
    return entries


def _is_known(out: Path, reviewed: Sequence[Event], state: State, found: Selection) -> bool:
    """Tell whether the batch in the folder is the one that the last review began with, or has exported since."""
    began = next((e for e in reversed(reviewed) if e.action == BEGIN), None)
    if began is None or "file" not in began.detail:
        return False
    if any(e.action == EXPORT and e.seq > began.seq for e in reviewed):
        return found.case_ids == state.exported
    return (out / str(began.detail["file"])).read_bytes() == (out / "selection.json").read_bytes()
