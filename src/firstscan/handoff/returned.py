"""Finished labels in a hand-off folder: where each tool leaves them, and which scan a file name means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from firstscan.domain.names.label_maps import ANY_WORD

from .trail import Trail, sha256

RETURNS: dict[str, tuple[str, ...]] = {
    "bids": ("sub-*/anat",),
    "csv": ("labels",),
    "dicom-list": ("labels",),
    "itksnap": ("segmentations",),
    "mitk": ("segmentations",),
    "monailabel": ("labels/final",),
    "nnunet": ("Dataset*/labelsTr",),
    "slicer": ("segmentations", "masks", "images"),
    "slicercart": ("segmentations", "masks"),
}
"""Where finished labels of a target lie, as folders of the hand-off that are searched with all that is in them."""

_REST = re.compile(
    rf"(?:\.nii(?:_(?!v\d)[A-Za-z]\w*?)?)?(?:[._ -]?(?:{ANY_WORD})(?:_(?!v\d)[A-Za-z]\w*?)?)?"
    r"(?:\.seg)?(?P<version>[_ -]?v\d+|\(\d+\))?(?:\.seg)?",
    flags=re.IGNORECASE,
)
"""What may follow a pick's name: the image's ending (3D Slicer keeps it), a word for labels, a reader, a version."""
_UNFINISHED = re.compile(r"\.interim$", flags=re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """The label files of one pick: the one that counts, older versions of it, and whether it is as it was given.

    ``rivals`` are several files of which none is newer than the others; then ``path`` is None. ``unfinished`` are
    files that the tool marks as such.
    """

    path: Path | None = None
    older: tuple[Path, ...] = ()
    rivals: tuple[Path, ...] = ()
    unfinished: tuple[Path, ...] = ()
    untouched: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back in one hand-off folder: files by case id, and those that belong to none of its picks."""

    labels: dict[str, Found]
    unknown: tuple[Path, ...]


def find_labels(trail: Trail, is_volume: Callable[[str], bool], stem_of: Callable[[str], str]) -> Returned:
    """Look for finished label maps where the target leaves them, named after the pick or after one of its images.

    Parameters
    ----------
    is_volume, stem_of : whether a file name is a volume's, and that name without its ending.
    """
    placed = {path for step in trail.steps for _, path in step.images}
    by_name = {stem_of(path.name): step for step in trail.steps for _, path in step.images}
    by_name |= {step.name: step for step in trail.steps}
    files: dict[str, list[tuple[Path, str, int]]] = {step.case_id: [] for step in trail.steps}
    unfinished: dict[str, list[Path]] = {step.case_id: [] for step in trail.steps}
    unknown: list[Path] = []
    for path in _files(trail, is_volume):
        stem = stem_of(path.name)
        if path in placed or (trail.target == "bids" and not stem.endswith("_dseg")):
            continue
        interim = _UNFINISHED.search(stem)
        read = _read(stem[: interim.start()] if interim else stem, by_name)
        if read is None:
            unknown.append(path)
            continue
        name, kind, version = read
        if interim:
            unfinished[by_name[name].case_id].append(path)
        else:
            files[by_name[name].case_id].append((path, kind + path.name[len(stem) :], version))
    labels = {
        step.case_id: _chosen(files[step.case_id], unfinished[step.case_id], step.given, step.given_sha256)
        for step in trail.steps
    }
    return Returned(labels, tuple(unknown))


def _files(trail: Trail, is_volume: Callable[[str], bool]) -> list[Path]:
    places = (place for pattern in RETURNS[trail.target] for place in sorted(trail.folder.glob(pattern)))
    found = (path for place in places for path in place.rglob("*") if path.is_file() and is_volume(path.name))
    return sorted(set(found))


def _read(stem: str, names: Iterable[str]) -> tuple[str, str, int] | None:
    """Return the pick that a file name means, what is said besides, and the version; None where it means none.

    The longest name that fits wins: ``scan_1_2`` is never taken for ``scan_1``.
    """
    for name in sorted((n for n in names if stem.startswith(n)), key=len, reverse=True):
        rest = _REST.fullmatch(stem[len(name) :])
        if rest is not None:
            version = re.sub(r"\D", "", rest["version"] or "")
            return name, rest[0].replace(rest["version"] or "", ""), int(version or 0)
    return None


def _chosen(files: list[tuple[Path, str, int]], unfinished: list[Path], given: Path | None, was: str) -> Found:
    """Return the newest version; what was handed over counts only where nothing else came."""
    untouched = {path for path, _, _ in files if path == given and sha256(path) == was}
    drawn = [entry for entry in files if entry[0] not in untouched] or files
    if not drawn:
        return Found(unfinished=tuple(unfinished))
    if len({kind for _, kind, _ in drawn}) > 1 or len({version for *_, version in drawn}) < len(drawn):
        return Found(rivals=tuple(path for path, _, _ in drawn), unfinished=tuple(unfinished))
    ordered = sorted(drawn, key=lambda entry: entry[2])
    return Found(
        path=ordered[-1][0],
        older=tuple(path for path, _, _ in ordered[:-1]),
        unfinished=tuple(unfinished),
        untouched=ordered[-1][0] in untouched,
    )
