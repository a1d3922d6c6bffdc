"""The batch of a results folder as its history tells it, whatever its files say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.errors import DataError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.selection.history import HISTORY, REPLACED, history_of
from firstscan.steps.running.carried import keep_batch, whole
from firstscan.steps.running.history import NAME, Event, History, event
from firstscan.steps.running.replay import CHOSEN, VETOED, Frame, State, replay
from firstscan.steps.running.results import FEATURES
from firstscan.store import read_features
from firstscan.store import read_selection as read_files
from firstscan.store.selections import Paths, selection_text

from .slicing import replanned

ANOTHER = "another scan was wanted"


def read_selection(path: str | Path) -> Selection:
    """Return the batch of a results folder as its history tells it, or the one of a ``selection.json`` or ``.csv``.

    The files of the folder may be older: a command that was killed has written its entry and not yet them.

    Raises
    ------
    UsageError : there is none.  DataError : its history or a file is damaged.
    """
    out = Path(path)
    there = read_files(path)
    if not out.is_dir() or not (out / NAME).is_file():
        return there
    state = replay(History(out).events)
    return there if not state.picks or agrees(state, there) else in_full(out, state)


def agrees(state: State, selection: Selection) -> bool:
    """Tell whether a batch is the one of a state, and knows its vetoes."""
    gone = {str(row["removed"]) for row in selection.diagnostics.get("replacements", ())}
    out = {*gone, *selection.diagnostics.get(VETOED, {})} - {*selection.case_ids}
    return selection.picks == state.picks and out == vetoes(state).keys()


def vetoes(state: State) -> dict[str, str]:
    """Return why a scan must not come back, by case id."""
    return {**dict.fromkeys(state.passed, ANOTHER), **state.vetoed}


def in_full(
    out: Path, state: State, features: FeatureTable | None = None, framed: Selection | None = None
) -> Selection:
    """Return the batch of a state with its strata, scores, plan by slice, diagnostics and vetoes.

    ``features`` and ``framed``, the batch of the state's frame, are read where they are not given.
    """
    base = framed or framed_by(out, state.frame)
    told, gone = {k: v for k, v in base.diagnostics.items() if k != VETOED}, vetoes(state)
    swapped = [*base.diagnostics.get("replacements", ()), *state.replaced]
    if swapped:  # what was allowed again does not count as replaced
        told["replacements"] = [row for row in swapped if row["removed"] in gone]
    if state.swaps:
        told[HISTORY] = [*history_of(base), *({"action": REPLACED, **row} for row in state.swaps)]
    if gone:
        told[VETOED] = gone
    full = replace(base, picks=state.picks, budget=len(state.picks), diagnostics=told)
    if base.slices is None or full.case_ids == base.case_ids:
        return full
    return replanned(full, base.slices, read_features(out / FEATURES) if features is None else features)


def framed_by(out: Path, frame: Frame) -> Selection:
    """Return the batch that a frame stands for.  Raises DataError where the folder has lost it."""
    file = out / frame.file
    if not frame.file or not file.is_file():
        raise DataError(
            f"{out} has lost the file {frame.file or 'of a batch'} that entry {frame.seq} of {NAME} names. Bring it "
            f"back, or move {NAME} away: the batch is then taken as selection.json holds it, and a new history begins."
        )
    return read_files(file)


def entry_of(out: Path, command: str, action: str, selection: Selection, paths: Paths | None, **more: Any) -> Event:
    """Keep a whole batch beside the history, and return the entry that says so; it is not written yet."""
    file = kept_batch(out, selection, paths)
    return event(command, action, detail=whole(selection, file, **more))


def kept_batch(out: Path, selection: Selection, paths: Paths | None = None) -> str:
    """Keep a whole batch beside the history, and return the name of its file within ``out``."""
    return keep_batch(out, selection_text(selection, paths, __version__))


def note_choice(out: Path, command: str, selection: Selection, paths: Paths | None) -> None:
    """Write into the history of ``out`` that this batch was chosen, unless that is what it says last."""
    history, entry = History(out), entry_of(out, command, CHOSEN, selection, paths)
    last = history.events[-1] if history.events else None
    if last is None or last.action != CHOSEN or last.detail.get("file") != entry.detail["file"]:
        history.append(entry)
