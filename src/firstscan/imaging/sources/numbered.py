"""Names that end in ``_0000``, ``_0001``, …: channels of one scan, as nnU-Net has them, or scans that are numbered."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstscan.audit.header import channel_geometry_problem
from firstscan.domain.case import Channel
from firstscan.domain.errors import ScanError
from firstscan.domain.finding import Finding
from firstscan.domain.volume import Header
from firstscan.imaging.channels import read_header
from firstscan.imaging.files import is_nifti, split_ending
from firstscan.imaging.formats.nifti import nifti_header

MOST_CHANNELS = 16
"""Numbers from here on are no channels."""
_CHANNEL = re.compile(r"^(?P<stem>.+)_(?P<number>\d{4})$")
_LOOKED_AT = 16
"""So many stems of a folder have the grids of their files compared."""
_HALF = 0.5
_USUAL, _SEVERAL = 4, 2
"""More channels than are usual have to be there in several scans."""
_PLAIN = "plain"

Stems = dict[Path, Mapping[str, Path]]
"""Numbered files by stem: path without number → number → file."""


@dataclass(frozen=True, slots=True)
class Group:
    """The files of one scan: ``key`` is their path without channel number and ending, ``files`` number → file.

    The number of a file that has none is empty.
    """

    key: Path
    files: Mapping[str, Path]

    @property
    def is_numbered(self) -> bool:
        """Whether its files are channels with numbers."""
        return "" not in self.files


def grouped(
    root: Path, files: Iterable[Path], *, numbers: str = "asked", channels: int = 0
) -> tuple[list[Group], list[Finding]]:
    """Return the files of each scan, and a finding where names alone do not tell what numbers mean.

    Numbers are channels where several stems have the same set of them, counted from 0000, and the files of a stem lie
    on one grid.

    Parameters
    ----------
    files : volumes below ``root``; no two have the same name but for the ending.
    numbers : ``channel``, ``scan`` or ``asked``.
    channels : how many channels a description beside the files names; 0 where none does.
    """
    alone: list[Path] = []
    stems: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in sorted(files):
        match = None if numbers == "scan" else _CHANNEL.match(split_ending(path.name)[0])
        if match is None:
            alone.append(path)
        else:
            stems[path.parent / match["stem"]][match["number"]] = path
    most = channels or MOST_CHANNELS
    small = {stem: files for stem, files in stems.items() if all(int(number) < most for number in files)}
    alone += [path for stem, files in stems.items() if stem not in small for path in files.values()]
    found: dict[Path, Group] = {}
    findings: list[Finding] = []
    for together in _compared(small):
        reason = "" if numbers == "channel" or channels else _why_scans(together)
        if reason:
            alone += [path for files in together.values() for path in files.values()]
            findings += [] if reason == _PLAIN else [_asked(root, together, reason)]
        else:
            found |= {stem: Group(stem, dict(sorted(files.items()))) for stem, files in together.items()}
    for path in alone:
        key = path.parent / split_ending(path.name)[0]
        key = path if key in found else key  # p1.nii.gz beside p1_0000.nii.gz
        found[key] = Group(key, {"": path})
    return [found[key] for key in sorted(found)], findings


def _compared(stems: Mapping[Path, Mapping[str, Path]]) -> list[Stems]:
    """Return stems that are held against each other: those of one folder, and all that are alone in theirs."""
    folders: dict[Path, Stems] = defaultdict(dict)
    for stem, files in stems.items():
        folders[stem.parent][stem] = files
    single = {stem: files for group in folders.values() if len(group) == 1 for stem, files in group.items()}
    return [*(group for group in folders.values() if len(group) > 1), *([single] if single else [])]


def _why_scans(stems: Stems) -> str:
    """Say in words why the numbers of ``stems`` are no channels; empty where they are.

    ``_PLAIN`` where nobody would ask.
    """
    everything = {number for files in stems.values() for number in files}
    sizes = [len(files) for files in stems.values()]
    if max(sizes) == 1:
        return "" if everything == {"0000"} else _PLAIN
    if "0000" not in everything:
        return _PLAIN
    if everything != {f"{i:04d}" for i in range(len(everything))}:
        return "the numbers have gaps"
    if len(stems) == 1:
        return "no other name has the same numbers"
    full = sum(size == len(everything) for size in sizes)
    if full < _HALF * len(stems) or (len(everything) > _USUAL and full < _SEVERAL):
        return "each name has other numbers"
    several = [files for files in stems.values() if len(files) > 1][:_LOOKED_AT]
    if sum(_lie_apart(list(files.values())) for files in several) > _HALF * len(several):
        return "files of one name lie on different grids"
    return ""


def _lie_apart(paths: Sequence[Path]) -> bool:
    """Tell whether files that could be channels of one scan lie on different grids."""
    headers = [header for path in paths if (header := _header(path)) is not None]
    return any(channel_geometry_problem(headers[0], other) for other in headers[1:])


def _header(path: Path) -> Header | None:
    try:
        quick = nifti_header(path) if is_nifti(str(path)) else None
        return quick or read_header(Channel("image", str(path)))
    except (ScanError, OSError, ValueError):
        return None


def _asked(root: Path, stems: Stems, reason: str) -> Finding:
    count = sum(map(len, stems.values()))
    stem = next(stem for stem, files in stems.items() if len(files) > 1)
    folders = {stem.parent for stem in stems}
    return Finding(
        code="numbered-names",
        severity="warn",
        case_id="",
        message=f"{count} numbered file(s), such as {stem.name}_0000, were taken as a scan each, not as channels of "
        f"one scan: {reason}",
        remedy="nothing to do if they are scans; if they are channels of one scan, use --layout nnunet",
        path=str(stem.parent if len(folders) == 1 else root),
        measured=float(count),
    )
