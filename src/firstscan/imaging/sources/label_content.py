"""A look at the voxels of files whose names do not tell whether they are label maps: few whole values, or many?"""

from __future__ import annotations

import gzip
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.case import Channel
from firstscan.domain.errors import ScanError
from firstscan.domain.names.label_maps import core_of
from firstscan.domain.volume import Header
from firstscan.imaging.channels import read_header
from firstscan.imaging.files import is_nifti, split_ending
from firstscan.imaging.formats.integrity import voxel_data
from firstscan.imaging.formats.nifti import nibabel, nifti_header

FEW_VALUES = 32
"""A file with no more distinct whole values than this looks like labels, wherever they lie."""
MOST_VALUES = 256
"""With up to so many it does where they also form regions."""
IN_REGIONS = 0.7
"""There are regions where at least this share of voxels besides background has a neighbour of the same value."""
_BYTES_A_VOXEL = 0.5
"""A compressed scan takes more on the disk; most label maps take less than a tenth of this."""
_BLOCK = 1 << 16
_ENOUGH_VOXELS = 1 << 22
_TYPES = {
    "8-bit unsigned integer": "u1", "8-bit signed integer": "i1", "16-bit unsigned integer": "u2",
    "16-bit signed integer": "i2", "32-bit unsigned integer": "u4", "32-bit signed integer": "i4",
    "64-bit unsigned integer": "u8", "64-bit signed integer": "i8", "32-bit float": "f4", "64-bit float": "f8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where the voxels of a file lie: from byte ``offset`` of the file or, ``packed``, of what it inflates to."""

    header: Header
    dtype: np.dtype[Any]
    offset: int
    packed: bool
    whole_file: bool

    @property
    def voxels(self) -> int:
        return int(np.prod(self.header.shape))


class _Neighbours:
    """Which files lie in the same folder, or are called the same in another one; each group in the order of names."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._sizes = {path: _size(path) for path in sorted(files)}
        self._keys = {path: (("folder", path.parent), ("core", _core(path))) for path in self._sizes}
        self._groups: dict[tuple[str, object], list[Path]] = defaultdict(list)
        for path, keys in self._keys.items():
            for key in keys:
                self._groups[key].append(path)
        self._largest = {key: max(map(self.size, group)) for key, group in self._groups.items()}

    def size(self, path: Path) -> int:
        """Return the bytes of a file on the disk."""
        return self._sizes[path]

    def largest(self, path: Path) -> int:
        """Return the size of the largest neighbour of a file, or its own."""
        return max(self._largest[key] for key in self._keys[path])

    def has_any(self, path: Path) -> bool:
        """Tell whether a file has neighbours."""
        return any(len(self._groups[key]) > 1 for key in self._keys[path])

    def of(self, path: Path) -> Iterator[Path]:
        """Yield the neighbours: of the same name first, then those in the folder, the nearest by name first."""
        folder, core = self._keys[path]
        yield from (other for other in self._groups[core] if other != path)
        group = self._groups[folder]
        place = bisect_left(group, path)
        for step in range(1, len(group)):
            yield from (group[i] for i in (place - step, place + step) if 0 <= i < len(group))


@dataclass
class Looker:
    """Looks at files, each at most once, and remembers what it saw."""

    _stored: dict[Path, _Stored | None] = field(default_factory=dict)
    _labels: dict[Path, bool] = field(default_factory=dict)

    def like_labels(self, paths: Sequence[Path], siblings: Sequence[Path]) -> list[Path]:
        """Return those of ``paths`` that look like label maps.

        A file does so where it holds few distinct whole values, none below 0, and lies on the grid of another file,
        which does not. Looked for are files in the same folder, and those of the same name in others. Headers are read
        only of files that could be label maps by their size on the disk, voxels only where there is such a neighbour.

        Parameters
        ----------
        siblings : all files that could be scans; ``paths`` are among them.
        """
        near = _Neighbours(siblings)
        return [
            path
            for path in paths
            if near.has_any(path)
            and self._could_be(path, near)
            and any(self._lies_under(path, other) for other in near.of(path))
            and self.holds_labels(path)
        ]

    def _could_be(self, path: Path, near: _Neighbours) -> bool:
        """Tell by sizes on the disk and a glance at the voxels whether a closer look is worth it."""
        size = near.size(path)
        if is_packed(path) and near.largest(path) < 2 * size:
            return False
        stored = self._of(path)
        if stored is None:
            return False
        if stored.packed:
            return size <= _BYTES_A_VOXEL * stored.voxels
        return _few(_middle(path, stored)) is not False

    def _lies_under(self, path: Path, other: Path) -> bool:
        """Tell whether ``other`` has the same grid, and does not look like a label map itself."""
        own, theirs = self._of(path), self._of(other)
        if own is None or theirs is None or not _same_grid(own.header, theirs.header):
            return False
        return not self.holds_labels(other)

    def holds_labels(self, path: Path) -> bool:
        """Tell whether a file holds few distinct whole values, none below 0."""
        if path not in self._labels:
            stored = self._of(path)
            try:
                self._labels[path] = stored is not None and _few(_blocks(path, stored)) is True
            except (OSError, EOFError, zlib.error, ValueError):
                self._labels[path] = False  # whoever reads it says what is wrong with it
        return self._labels[path]

    def _of(self, path: Path) -> _Stored | None:
        if path not in self._stored:
            try:
                self._stored[path] = _nifti(path) if is_nifti(str(path)) else _other(path)
            except (ScanError, OSError, EOFError, zlib.error, ValueError, OverflowError):
                self._stored[path] = None
        return self._stored[path]


def _core(path: Path) -> object:
    return core_of(split_ending(path.name)[0]) or path.parent


def is_packed(path: Path) -> bool:
    """Tell whether a file's name says that it is compressed."""
    return path.name.lower().endswith(".gz")


def _nifti(path: Path) -> _Stored | None:
    header = nifti_header(path)
    if header is None or header.components != 1 or len(header.shape) < 3:
        return None
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        start = file.read(348)
    parsed = nibabel().Nifti1Header(start, check=False)
    offset = float(parsed["vox_offset"])
    if parsed.get_data_dtype().kind not in "iuf":
        return None
    return _Stored(header, parsed.get_data_dtype(), int(offset) if offset >= 348 else 352, packed, True)


def _other(path: Path) -> _Stored | None:
    header = read_header(Channel("image", str(path)))
    place, kind = voxel_data(path), _TYPES.get(header.dtype)
    if place is None or kind is None or header.components != 1 or len(header.shape) < 3:
        return None
    offset, packed, big = place
    return _Stored(header, np.dtype(f"{'>' if big else '<'}{kind}"), offset, packed, False)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _same_grid(a: Header, b: Header) -> bool:
    """Tell whether two files have the same voxels at the same places, but for rounding."""
    if a.shape != b.shape:
        return False
    slack = 0.05 * min(a.spacing_mm)
    return (
        np.allclose(a.spacing_mm, b.spacing_mm, rtol=1e-2, atol=0)
        and np.allclose(a.origin_mm, b.origin_mm, rtol=0, atol=max(slack, 1e-6))
        and np.allclose(a.direction, b.direction, rtol=0, atol=1e-2)
    )


def _middle(path: Path, stored: _Stored) -> Iterator[Shaped[np.ndarray, " voxel"]]:
    """Yield one block from the middle of an uncompressed file."""
    item = stored.dtype.itemsize
    with path.open("rb") as file:
        file.seek(stored.offset + item * (stored.voxels // 2))
        yield _values(file.read(_BLOCK), stored)


def _blocks(path: Path, stored: _Stored) -> Iterator[Shaped[np.ndarray, " voxel"]]:
    """Yield the voxels in the order of the file, block by block."""
    left = stored.voxels * stored.dtype.itemsize
    with _opened(path, stored) as read:
        while left > 0 and (block := read(min(_BLOCK, left))):
            left -= len(block)
            yield _values(block, stored)


class _opened:  # a context manager, used like open()
    """Open a file at its voxels; inside is a function that reads so many bytes of them."""

    def __init__(self, path: Path, stored: _Stored) -> None:
        self._stored = stored
        self._file: IO[bytes] = path.open("rb")

    def __enter__(self) -> Callable[[int], bytes]:
        if not self._stored.packed:
            self._file.seek(self._stored.offset)
            return partial(_read, self._file)
        if self._stored.whole_file:
            inflated: Any = gzip.GzipFile(fileobj=self._file)
            inflated.read(self._stored.offset)
            return partial(_read, inflated)
        self._file.seek(self._stored.offset)
        return _Stream(self._file)

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _read(file: Any, size: int) -> bytes:
    """Return ``size`` bytes, fewer only at the end of the file."""
    return bytes(file.read(size))


class _Stream:
    """Inflates a gzip or zlib stream that begins where a file stands."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._stream, self._waiting, self._held = file, zlib.decompressobj(47), b"", b""

    def __call__(self, size: int) -> bytes:
        while len(self._held) < size and not self._stream.eof:
            packed = self._waiting or self._file.read(_BLOCK)
            if not packed:
                break
            self._held += self._stream.decompress(packed, size)
            self._waiting = self._stream.unconsumed_tail
        result, self._held = self._held[:size], self._held[size:]
        return result


def _values(block: bytes, stored: _Stored) -> Shaped[np.ndarray, " voxel"]:
    return np.frombuffer(block[: len(block) // stored.dtype.itemsize * stored.dtype.itemsize], stored.dtype)


def _few(blocks: Iterator[Shaped[np.ndarray, " voxel"]]) -> bool | None:
    """Tell whether there are few distinct whole values; None where there is only one in what was looked at."""
    seen: set[float] = set()
    looked = marked = joined = 0
    for values in blocks:
        changes = np.flatnonzero(values[1:] != values[:-1]) + 1
        kinds = np.unique(values[np.concatenate(([0], changes))]) if values.size else values
        if not np.isfinite(kinds).all() or (kinds < 0).any() or (kinds != np.rint(kinds)).any():
            return False
        seen.update(kinds.tolist())
        if len(seen) > MOST_VALUES:
            return False
        background = values == 0
        marked += int(values.size - np.count_nonzero(background))
        joined += int(np.count_nonzero((values[1:] == values[:-1]) & ~background[1:]))
        looked += values.size
        if looked >= _ENOUGH_VOXELS and len(seen) > 1 and marked:
            break
    if len(seen) < 2:
        return None
    return len(seen) <= FEW_VALUES or joined >= IN_REGIONS * marked
