"""The headers of DICOM files, read where the run's work runs, and only once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstscan.execution import Progress, WorkerDied
from firstscan.imaging.dicom_headers import Header, is_settled, read_headers, reader_version, unreadable
from firstscan.store import Pieces, identity

from .run import Run

HEADERS = "headers"
"""In ``work``: what the headers told, by path, size and time of change of the file."""
FILES = 256
"""How many files a worker is given at a time."""

Cases = Callable[..., Iterator[tuple[str, Any]]]
Stage = Callable[[str, int], AbstractContextManager[Progress]]
Numbered = tuple[int, Path]


@dataclass(frozen=True)
class HeaderReader:
    """Reads the headers of files.

    ``cases`` runs the work and ``stage`` shows it. ``kept`` holds what was read before and gets what is new (None:
    nothing is kept); ``others`` are looked into, too.
    """

    cases: Cases
    stage: Stage
    kept: Pieces | None = None
    others: tuple[Pieces, ...] = ()

    def __call__(self, files: Sequence[Path]) -> list[Header]:
        """Return the header of each file; a file that ends the process that reads it is one that cannot be read.

        Raises
        ------
        DataError : the worker processes cannot do their work, or the disk is full.
        """
        with self.stage("Reading headers", len(files)) as progress:
            if self.kept is not None:
                return self._read_new(files, self.kept, progress)
            fresh = dict(self._told(list(enumerate(files)), progress))
            return [fresh[i] for i in range(len(files))]

    def _read_new(self, files: Sequence[Path], kept: Pieces, progress: Progress) -> list[Header]:
        reader = reader_version()
        keys = [_key(path, reader) for path in files]
        known = {key: header for pieces in (*self.others, kept) for key, header in pieces.find(keys).items()}
        todo = [i for i, key in enumerate(keys) if key not in known]
        progress.advance(len(files) - len(todo))
        fresh: dict[int, Header] = {}
        with kept.writer() as writer:
            for i, header in self._told([(i, files[i]) for i in todo], progress):
                fresh[i] = header
                if keys[i] and is_settled(header):
                    known[keys[i]] = header
                    writer.append(keys[i], header)
        return [fresh[i] if i in fresh else known[key] for i, key in enumerate(keys)]

    def _told(self, files: Sequence[Numbered], progress: Progress) -> Iterator[tuple[int, Header]]:
        """Yield number and header of each file, in any order; after a crash its neighbours are read one by one."""
        lost: list[Numbered] = []
        for part, headers in self._parts(files, FILES):
            if headers is None:
                lost += part
            else:
                progress.advance(len(part))
                yield from zip((i for i, _ in part), headers, strict=True)
        for [(i, _)], headers in self._parts(lost, 1):
            progress.advance()
            yield i, unreadable("the process that read it crashed") if headers is None else headers[0]

    def _parts(self, files: Sequence[Numbered], size: int) -> Iterator[tuple[Sequence[Numbered], list[Header] | None]]:
        """Yield ``size`` files at a time with their headers, or with None where the process died."""
        parts = {str(files[start][1]): files[start : start + size] for start in range(0, len(files), size)}
        items = [(name, [path for _, path in part]) for name, part in parts.items()]
        for name, result in self.cases(read_headers, items, sees=[path.parent for _, path in files[:1]]):
            part = parts[name]
            if isinstance(result, WorkerDied):
                yield part, None
            elif isinstance(result, Exception):
                raise result
            else:
                yield part, [(sys.intern(common), own) for common, own in result]


def headers_of(run: Run, *results: Path) -> HeaderReader:
    """Return what reads headers for ``run`` and keeps them in its folder; those of ``results`` folders serve, too."""
    others = tuple(Pieces(folder / "work" / HEADERS) for folder in results)
    return HeaderReader(run.cases, run.stage, Pieces(run.workspace.work / HEADERS), others)


def _key(path: Path, reader: str) -> str:
    """Return the name of what a header told; empty where the file is not there any more."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return identity(reader, str(path), found.st_size, found.st_mtime_ns)
