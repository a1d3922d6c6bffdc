"""A folder that people go on working in: what a command wrote there, and nothing else, is ever removed again."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from firstscan.domain.errors import UsageError
from firstscan.store import Workspace, atomic_write, dump_json, file_sha256, load_json
from firstscan.store.manifest import NAME as MANIFEST


def before(workspace: Workspace, kept: str) -> dict[str, Any] | None:
    """Return what the last run left told in ``work/<kept>``; None where there was none, or where it was cut short."""
    told = workspace.work / kept
    return load_json(told) if told.is_file() else None


def begin(workspace: Workspace, kept: str) -> None:
    """Say that from here on what lies in the folder comes from us, finished or not."""
    atomic_write(workspace.work / kept, dump_json(None))


def tell(workspace: Workspace, kept: str, told: Mapping[str, Any], *, editable: Mapping[str, str]) -> list[Path]:
    """Keep ``told`` with a list of every file that lies there now; return them.

    ``editable`` (name → SHA-256) are files that people may go on working on: changed, they are no longer ours.
    """
    placed = [p for p in inside(workspace) if p != workspace.out / MANIFEST]
    names = [str(p.relative_to(workspace.out)) for p in placed]
    atomic_write(workspace.work / kept, dump_json({**told, "placed": names, "editable": dict(editable)}))
    return placed


def refuse_foreign(out: Path, kept: str, what: str) -> None:
    """Raise UsageError where ``out`` holds anything that is not what this command writes."""
    if out.is_dir() and any(p.name != "work" for p in out.iterdir()) and not (out / "work" / kept).is_file():
        raise UsageError(f"{out} is not empty, and not a {what} of firstscan; choose another --out")


def clear(workspace: Workspace, told: Mapping[str, Any] | None, what: str) -> None:
    """Remove what an earlier run wrote; files of one that was cut short are moved to ``work/unfinished-N``.

    Raises
    ------
    UsageError : something else lies there, or a file was worked on since; then nothing is removed.
    """
    out, found = workspace.out, inside(workspace)
    if told is not None:
        own = {MANIFEST, *told["placed"]}
        worked_on = {n for n, was in told.get("editable", {}).items() if (out / n).is_file() and _changed(out / n, was)}
        foreign = [n for p in found if (n := str(p.relative_to(out))) not in own or n in worked_on]
        if foreign:
            raise UsageError(
                f"{out} holds {len(foreign)} file(s) that came after the {what}: {', '.join(foreign[:5])}; move them "
                "away, or choose another --out"
            )
    (out / MANIFEST).unlink(missing_ok=True)  # first: from here on this is no result
    aside = None if told is not None else _unused(workspace.work)
    for path in found:
        if aside is None or path.is_symlink():
            path.unlink(missing_ok=True)
        elif path != out / MANIFEST:  # nobody wrote down which files are ours, and somebody may have worked on some
            target = aside / path.relative_to(out)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    for folder in sorted((p for p in out.rglob("*") if p.is_dir() and not p.is_symlink()), reverse=True):
        if folder != workspace.work and not any(folder.iterdir()):
            folder.rmdir()


def inside(workspace: Workspace) -> list[Path]:
    """Return every file and link in the folder, ``work`` left aside, sorted."""
    found = (p for p in workspace.out.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(p for p in found if workspace.work not in p.parents)


def _unused(work: Path) -> Path:
    """Return the first folder ``unfinished-N`` that is not there yet."""
    return next(path for n in count(1) if not (path := work / f"unfinished-{n}").exists())


def _changed(path: Path, was: str) -> bool:
    return file_sha256(path) != was
