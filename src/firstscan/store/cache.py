"""One file a case, named so that a stale one is never found."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from .atomic import atomic_write
from .plain import dump_json

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def case_slug(case_id: str) -> str:
    """Return a file name for a case id: readable, safe on every file system, different for different ids."""
    readable = _UNSAFE.sub("_", case_id).strip("._")[:48]
    return f"{readable}-{hashlib.sha256(case_id.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class CaseCache:
    """A folder of per-case results; ``key`` (16 hex digits) stands for everything that changes a result."""

    folder: Path

    def path(self, case_id: str, key: str, suffix: str) -> Path:
        """Return where the result of a case lives."""
        return self.folder / f"{case_slug(case_id)}-{key}{suffix}"

    def prepare(self) -> CaseCache:
        """Create the folder and return the cache."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    @staticmethod
    def write_json(path: Path, value: Any) -> None:
        """Store plain data at ``path``, atomically."""
        atomic_write(path, dump_json(value))

    @staticmethod
    def write_arrays(path: Path, **arrays: np.ndarray) -> None:
        """Store arrays in one uncompressed ``.npz`` at ``path``, atomically."""
        atomic_write(path, lambda file: np.savez(file, **cast("Any", arrays)))

    @staticmethod
    def write_array(path: Path, array: np.ndarray) -> None:
        """Store one array as ``.npy`` at ``path``, atomically."""
        atomic_write(path, lambda file: np.save(file, array, allow_pickle=False))

    @staticmethod
    def read_or_none(path: Path, read: Callable[[Path], Any]) -> Any:
        """Return ``read(path)``, or None where the file is absent or damaged: the case is then computed again."""
        try:
            return read(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError):
            path.unlink(missing_ok=True)
            return None
