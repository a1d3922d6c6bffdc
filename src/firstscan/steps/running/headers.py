"""The headers of DICOM files, read where the run's work runs, and only once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firstscan.execution import Progress, WorkerDied
from firstscan.imaging.dicom.headers import Header, is_settled, read_headers, reader_version, unreadable
from firstscan.store import Pieces, identity

from .run import Run

HEADERS = "headers"
"""In ``work``: what the headers told, by path, size and times of change of the file."""
FILES = 256
"""How many files a worker is given at a time; no worker is started for so few."""

Cases = Callable[..., Iterator[tuple[str, Any]]]
Stage = Callable[[str, int], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class HeaderReader:
    """Reads the headers of files.

    ``cases`` runs the work and ``stage`` shows it. ``kept`` holds what was read before, gets what is new, and loses
    what no call asked for (None: nothing is kept); ``others`` are looked into, too.
    """

    cases: Cases
    stage: Stage
    kept: Pieces | None = None
    others: tuple[Pieces, ...] = ()
    _asked: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __call__(self, files: Sequence[Path]) -> list[Header]:
        """Return the header of each file; a file that ends the process that reads it is one that cannot be read.

        At most ``FILES`` are read in this process, where such a file would end the command. That is accepted for so
        few: pydicom is pure Python, and starting a process takes far longer than reading them.

        Raises
        ------
        DataError : the worker processes cannot do their work, or the disk is full.
        """
        with self.stage("Reading headers", len(files)) as progress:
            told = self._told(files, progress)
        return [told[path] for path in files]

    def _told(self, files: Sequence[Path], progress: Progress) -> dict[Path, Header]:
        reader = reader_version()
        keys = {path: _key(path, reader) for path in files}
        self._asked.update(keys.values())
        places = self.others if self.kept is None else (*self.others, self.kept)
        known = {key: header for pieces in places for key, header in pieces.find(keys.values()).items()}
        told = {path: known[key] for path, key in keys.items() if key in known}
        progress.advance(len(told))
        with nullcontext() if self.kept is None else self.kept.writer(self._asked) as writer:
            for path, header in self._read([path for path in files if path not in told], progress):
                told[path] = header
                if writer is not None and keys[path] and is_settled(header):
                    writer.append(keys[path], header)
        return told

    def _read(self, files: Sequence[Path], progress: Progress) -> Iterator[tuple[Path, Header]]:
        """Yield each file with its header, in any order; after a crash the neighbours are read one by one."""
        if len(files) <= FILES:
            yield from zip(files, read_headers(files), strict=True)
            progress.advance(len(files))
            return
        lost: list[Path] = []
        for part, headers in self._parts(files, FILES):
            if headers is None:
                lost += part
            else:
                progress.advance(len(part))
                yield from zip(part, headers, strict=True)
        for [path], headers in self._parts(lost, 1):
            progress.advance()
            yield path, unreadable("the process that read it crashed") if headers is None else headers[0]

    def _parts(self, files: Sequence[Path], size: int) -> Iterator[tuple[Sequence[Path], list[Header] | None]]:
        """Yield ``size`` files at a time with their headers, or with None where the process died."""
        parts = {str(files[start]): files[start : start + size] for start in range(0, len(files), size)}
        for name, result in self.cases(read_headers, list(parts.items()), sees=[path.parent for path in files[:1]]):
            if isinstance(result, WorkerDied):
                yield parts[name], None
            elif isinstance(result, Exception):
                raise result
            else:
                yield parts[name], [(sys.intern(common), own) for common, own in result]


def headers_of(run: Run) -> HeaderReader:
    """Return what reads headers for ``run`` and keeps them in its folder."""
    return HeaderReader(run.cases, run.stage, Pieces(run.workspace.work / HEADERS))


def known_headers(run: Run, *results: Path) -> HeaderReader:
    """Return what looks headers up in ``results`` folders and reads the others for ``run``; nothing is kept.

    For folders that are given away: headers name every patient of the source, not only those handed over.
    """
    others = tuple(Pieces(folder / "work" / HEADERS) for folder in results)
    return HeaderReader(run.cases, run.stage, None, others)


def _key(path: Path, reader: str) -> str:
    """Return the name of what a header told; empty where the file is not there any more.

    The time of the last change of its entry is in it, which copying a file with its times does not carry over.
    """
    try:
        found = path.stat()
    except OSError:
        return ""
    return identity(reader, str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns)
