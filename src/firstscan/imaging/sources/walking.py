"""Find files below a folder: order fixed, links followed, symlink loops cut, and what is passed over counted."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstscan.imaging.files import is_volume

_POINTERS = (b"annex/objects/", b"version https://git-lfs")
_POINTER_BYTES = 1024
"""Size up to which a file named like a scan may hold only a pointer to it."""
_TOOLS = frozenset({".git", ".datalad", ".dvc", ".svn", ".hg", ".ipynb_checkpoints", ".vscode", ".idea"})
"""Hidden folders of tools, in which nobody keeps scans of their own."""
_RESULT = {"manifest.json": {"kind", "identity", "inputs"}, "handoff.json": {"target", "picks", "reader"}}
"""Files of ours by which a folder of results or a hand-off is known, and entries that each of them has."""
_LARGEST_NOTE = 64 << 20


@dataclass(frozen=True, slots=True)
class Walked:
    """The visible ``files`` below a folder, and what was ``passed`` over by finding code."""

    files: tuple[Path, ...]
    passed: Mapping[str, tuple[Path, ...]]


def walk(root: Path) -> Walked:
    """Return every visible file below ``root``, sorted within each folder; links are followed, each folder once.

    Passed over: links and pointer files whose data is not there (``not-fetched``), folders that may not be read
    (``no-permission``), results and hand-offs of our own below ``root`` (``own-results``), hidden files and folders
    (``hidden``), names that are no UTF-8 (``name-encoding``), which the reading libraries cannot open.
    """
    files: list[Path] = []
    passed: dict[str, list[Path]] = defaultdict(list)
    for here, folders, names in _folders(root, passed):
        if here != root and _is_ours(here, folders, names):
            passed["own-results"].append(here)
            folders.clear()
            continue
        passed["hidden"] += [here / f for f in folders if f.startswith(".") and f not in _TOOLS]
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            path = here / name
            if code := _why_not(path, names):
                passed[code].append(path)
            elif not name.startswith(".") and os.path.isfile(path):  # noqa: PTH113  # never raises
                files.append(path)
    return Walked(tuple(files), {code: tuple(paths) for code, paths in passed.items() if paths})


def _folders(root: Path, passed: dict[str, list[Path]]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder once, with the names of folders (which may be taken out) and files in it."""
    seen: set[tuple[int, int]] = set()

    def closed(error: OSError) -> None:
        passed["no-permission"].append(Path(error.filename or root))

    for folder, folders, names in os.walk(root, followlinks=True, onerror=closed):
        status = os.stat(folder)  # noqa: PTH116  # the name may be no UTF-8
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        yield Path(folder), folders, names


def _why_not(path: Path, neighbours: Sequence[str]) -> str:
    """Return the code of the finding by which a file is passed over; empty where it is looked at."""
    name = path.name
    if name.startswith("."):
        return "" if name.startswith("._") or not is_volume(name.lstrip(".")) else "hidden"
    if not _is_text(str(path)):
        return "name-encoding"
    try:
        status = path.stat()
    except PermissionError:
        return "no-permission"
    except OSError:
        return "not-fetched" if path.is_symlink() else ""
    if name.endswith(".dvc"):
        target = name.removesuffix(".dvc")
        return "" if target in neighbours or path.with_name(target).exists() else "not-fetched"
    return "not-fetched" if is_volume(name) and _is_pointer(path, status.st_size) else ""


def _is_pointer(path: Path, size: int) -> bool:
    """Tell whether a file holds only where its content is, as git-annex and Git LFS leave it."""
    if not 0 < size <= _POINTER_BYTES:
        return False
    try:
        start = path.read_bytes()
    except OSError:
        return False
    return any(mark in start for mark in _POINTERS)


def _is_ours(here: Path, folders: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether a folder holds results or a hand-off of ours, finished or under way."""
    if "work" in folders and all((here / "work" / name).is_file() for name in ("log.jsonl", "run.lock")):
        return True
    return any(name in names and _has(here / name, entries) for name, entries in _RESULT.items())


def _has(path: Path, entries: set[str]) -> bool:
    try:
        if path.stat().st_size > _LARGEST_NOTE:
            return False
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(body, dict) and entries <= body.keys()


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
