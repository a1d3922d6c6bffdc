"""Change a finished result in place: afterwards it is the new one or, after a crash, the old one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .atomic import atomic_write
from .manifest import NAME

_BEFORE, _GATHERED = "before", "before.partial"


@contextmanager
def amending(out: Path, files: Iterable[str]) -> Iterator[None]:
    """Keep copies of ``files`` and of the manifest in ``out/work`` until the block has written the new ones.

    An error in the block, or :func:`roll_back` after a crash, brings the old ones back.
    """
    gathered, before = out / "work" / _GATHERED, out / "work" / _BEFORE
    shutil.rmtree(gathered, ignore_errors=True)
    gathered.mkdir(parents=True)
    for name in (*files, NAME):
        if (out / name).is_file():
            atomic_write(gathered / name, (out / name).read_bytes())
    gathered.replace(before)
    try:
        yield
    except BaseException:
        roll_back(out)
        raise
    before.replace(gathered)
    shutil.rmtree(gathered)


def roll_back(out: Path) -> bool:
    """Bring back the result that an interrupted change has left half-replaced; tell whether there was one."""
    before = out / "work" / _BEFORE
    if not before.is_dir():
        return False
    (out / NAME).unlink(missing_ok=True)
    for path in sorted(before.iterdir(), key=lambda p: p.name == NAME):
        atomic_write(out / path.name, path.read_bytes())
    shutil.rmtree(before)
    return True
