"""A batch brought into the files of its results folder: history first, then selection, report, manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.steps.running.carried import history_of
from firstscan.steps.running.history import DONE, NAME, NOTE, History, event
from firstscan.steps.running.identity import key_of
from firstscan.steps.running.replay import AMENDMENTS, BEGIN, State, replay
from firstscan.steps.running.results import FEATURES, FINDINGS, REPORT, SELECTION, SLICES, selection_files
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.selecting.batch import agrees, entry_of, in_full
from firstscan.steps.selecting.batch import read_selection as read_batch_of
from firstscan.store import (
    Manifest,
    amending,
    load_json,
    open_workspace,
    read_features,
    read_findings,
    read_manifest,
    read_selection,
    write_manifest,
    write_selection,
)
from firstscan.store.lock import InUseError
from firstscan.store.selections import Paths

from .report import STORY, Story, is_drawn, told, write_report


def standing(run: Run, *, draw: bool = True) -> tuple[History, State]:
    """Return the history of the run's folder and where it leads; files that are behind it are written again.

    A folder without a history gets one. The report is drawn again where it shows an earlier batch, unless not ``draw``.

    Raises
    ------
    UsageError : no finished batch there.  DataError : a history that is damaged.
    """
    out = run.workspace.out
    manifest = batch_manifest(out)
    new = not History(out).events
    history = history_of(out)
    state = replay(history.events)
    for entry in history.events if new else ():
        if entry.action == NOTE:
            run.progress.say(f"Note: {entry.why}.")
    there = read_selection(out)
    if agrees(state, there) and not (out / state.frame.file).is_file():  # somebody has removed the folder of batches
        history.append(entry_of(out, "review", BEGIN, there, paths_of(out, story_of(run)), amendments=state.amendments))
        state = replay(history.events)
    if not agrees(state, there):
        run.progress.say(f"Note: {out} was behind its history ({_behind(there, state)}); it is written again.")
        write_standing(run, manifest, in_full(out, state), state, report=draw)
    elif draw and REPORT in manifest.files and not is_drawn(run.workspace, there):
        write_standing(run, manifest, there, state)
    return history, state


def report(out: Path, settings: Settings) -> Path:
    """Draw the report of a finished ``firstscan select`` again.

    Raises
    ------
    UsageError : ``out`` holds no such result.
    """
    manifest = read_manifest(out) if out.is_dir() else None
    if manifest is None or REPORT not in manifest.files or not (out / "work" / STORY).is_file():
        raise UsageError(
            f"{out} holds no finished selection. Make one with: firstscan select SOURCE --budget B --out {out}"
        )
    with open_workspace(out) as workspace:
        run = Run(workspace, settings)
        _, state = standing(run, draw=False)
        story = replace(
            told(load_json(workspace.work / STORY), read_findings(out / FINDINGS)), show_metadata=settings.show_metadata
        )
        write_standing(run, batch_manifest(out), read_selection(out), state, story=story)
    return out / REPORT


def batch_manifest(out: Path) -> Manifest:
    """Return the manifest of a finished batch.  Raises UsageError where there is none."""
    manifest = read_manifest(out) if out.is_dir() else None
    if manifest is None or not {FEATURES, "selection.json"} <= set(manifest.files):
        raise UsageError(
            f"{out} holds no finished selection. Make one with: firstscan select SOURCE --budget B --out {out}"
        )
    return manifest


def current(out: Path, settings: Settings) -> Selection:
    """Return the batch of a results folder as it stands; its files are brought there, too, where that can be done.

    Raises
    ------
    UsageError : no selection there.  DataError : a history that is damaged.
    """
    batch = read_batch_of(out)
    settled = (out / NAME).is_file() and batch == read_selection(out)
    if settled or read_manifest(out) is None or not os.access(out, os.W_OK):
        return batch
    try:
        with open_workspace(out) as workspace:
            standing(Run(workspace, settings))
    except InUseError:
        pass  # whoever holds the folder brings its files there
    return read_batch_of(out)


def changed(run: Run, command: str, action: str, selection: Selection, amendment: Mapping[str, Any]) -> Selection:
    """Make ``selection`` the batch of the run's folder: it counts once the history holds it; then the files follow."""
    out = run.workspace.out
    history = history_of(out)
    story = story_of(run)
    history.append(entry_of(out, command, action, selection, paths_of(out, story), amendment=dict(amendment)))
    state = replay(history.events)
    full = in_full(out, state)
    write_standing(run, batch_manifest(out), full, state, story=story)
    finish(history)
    return full


def finish(history: History) -> None:
    """Write down that the last entry's command has told of it: the same command again is a new wish."""
    last = history.events[-1]
    history.append(event(last.command, DONE, detail={"of": last.seq}))


def write_standing(
    run: Run,
    manifest: Manifest,
    selection: Selection,
    state: State,
    *,
    features: FeatureTable | None = None,
    story: Story | None = None,
    report: bool = True,
) -> Manifest:
    """Write a batch into the files of the run's folder, in one step; return the manifest.

    ``report``: draw it again, too. ``features`` and ``story`` are read where they are not given.
    """
    out = run.workspace.out
    with amending(out, (*SELECTION, SLICES, *([REPORT] if report else []))):
        story = story or story_of(run)
        write_selection(out, selection, paths_of(out, story), __version__)
        if report and story is not None and REPORT in manifest.files:
            write_report(run, selection, read_features(out / FEATURES) if features is None else features, story)
        files = [*(set(manifest.files) - {*SELECTION, SLICES}), *selection_files(selection)]
        config = {**manifest.config, AMENDMENTS: list(state.amendments)}
        if not state.amendments:
            del config[AMENDMENTS]
        return write_manifest(
            out, kind=manifest.kind, version=manifest.version, config=config, inputs=manifest.inputs, files=files
        )


def story_of(run: Run) -> Story | None:
    """Return what is known of the scans of the run's folder; None where only features are."""
    out, kept = run.workspace.out, run.workspace.work / STORY
    if not kept.is_file():
        return None
    return told(load_json(kept), read_findings(out / FINDINGS) if (out / FINDINGS).is_file() else ())


def paths_of(out: Path, story: Story | None) -> Paths | None:
    """Return the files of every scan as results name them; None where scans have neutral names."""
    if key_of(out) is not None:
        return None
    return {} if story is None else story.paths


def _behind(there: Selection, state: State) -> str:
    new = [i for i in state.case_ids if i not in there.case_ids]
    gone = [i for i in there.case_ids if i not in state.case_ids]
    parts = [f"{', '.join(gone)} taken out"] * bool(gone) + [f"{', '.join(new)} put in"] * bool(new)
    return "; ".join(parts) or "order or vetoes"
