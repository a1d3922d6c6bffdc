"""Files that are either complete or absent."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from firstscan.domain.errors import DataError, FirstscanError, UsageError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_SUFFIX = ".tmp"
_LITTLE_BYTES = 1 << 20


def atomic_write(path: Path, content: bytes | str | Callable[[BinaryIO], object], *, private: bool = False) -> Path:
    """Write a file so that a reader, a crash or a power cut finds the old content or the new, never a mixture.

    ``content``: the bytes, text (written as UTF-8), or a function that writes into the open binary file. ``private``:
    only the owner may read it.
    Raises DataError where the disk is full, UsageError where the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            if private:
                temporary.chmod(0o600)
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def write_error(path: Path, error: OSError) -> FirstscanError:
    """Return the error that tells a person what ``error`` means for ``path``."""
    if error.errno in _FULL or (error.errno is None and _free_bytes(path.parent) < _LITTLE_BYTES):
        return DataError(
            f"The disk is full: {path} could not be written. Free some space, or choose another --out, and run the "
            "same command again: everything finished so far is kept."
        )
    reason = error.strerror or str(error)
    return UsageError(f"Cannot write {path}: {reason}. Choose a folder that you may write to with --out.")


def disk_full_message(error: BaseException) -> str | None:
    """Return what to tell a person if ``error``, or what caused it, is a full disk; None if it is something else.

    torch reports a failed write without the system's error number, only in words.
    """
    seen: BaseException | None = error
    while seen is not None:
        said = str(seen)
        if getattr(seen, "errno", None) in _FULL or "No space left" in said or "file write failed" in said:
            name = getattr(seen, "filename", None)
            what = f": {name} could not be written" if name else ""
            return (
                f"The disk is full{what}. Free some space, or choose another --out, and run the same command again: "
                "everything finished so far is kept."
            )
        seen = seen.__cause__ or seen.__context__
    return None


def remove_leftovers(folder: Path) -> int:
    """Delete the temporary files that a killed run left anywhere below ``folder``; return how many there were."""
    left = [p for p in folder.rglob(f".*{_SUFFIX}") if p.is_file()]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return _LITTLE_BYTES


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
