"""Which label map belongs to which scan, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.names.label_maps import (
    core_of,
    hints_at_labels,
    is_label_folder,
    names_labels,
    without_label_words,
)
from firstscan.domain.names.pseudonyms import CASE, Pseudonyms
from firstscan.imaging.files import is_volume, safe_id, split_ending

_SUBJECT = re.compile(r"^(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)_")
_IMAGE_FOLDERS = frozenset({"images", "imagestr", "imagests", "image", "img", "scans", "anat", "imaging", "volumes"})


def match_labels(
    folder: Path, case_ids: Iterable[str], key: Pseudonyms | None = None, *, scans: Collection[Path] = ()
) -> dict[str, str]:
    """Return ``{case id: label file}`` for every case whose label map lies somewhere below ``folder``.

    A file belongs to a case when their names agree: as they are, without words for labels (``p1_seg``, ``p1.seg``,
    ``mask_p1``), without words for either (``segmentation-3`` and ``volume-3``), or, where nothing of its own name is
    left, by its folder (``case_3/segmentation``). In BIDS trees a subject's (and session's) only label map is its.
    Where files called after label maps fit a case, others do not count.

    Parameters
    ----------
    key : neutral names of the cases; a label map may bear the original one, too.
    scans : files that are scans; none of them is ever taken for a label map.

    Raises
    ------
    UsageError : no such folder.  DataError : two files fit one case.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name the folder that holds the label maps")
    taken = {_real(path) for path in scans}
    names: tuple[dict[str, list[Path]], ...] = tuple(defaultdict(list) for _ in range(4))
    for path in sorted(folder.rglob("*")):
        if is_volume(path.name) and path.is_file() and _real(path) not in taken:
            for known, keys in zip(names, _keys(folder, path), strict=True):
                for name in dict.fromkeys(keys):
                    known[name].append(path)
    found: dict[str, str] = {}
    originals = {} if key is None else key.originals(CASE)
    for case_id in case_ids:
        fitting = _fitting(names, case_id) or _fitting(names, originals.get(case_id, case_id))
        if len(fitting) > 1:
            listed = ", ".join(str(p) for p in fitting[:3])
            raise DataError(f"{case_id}: {len(fitting)} label maps fit ({listed}); keep one of them below {folder}")
        if fitting:
            found[case_id] = str(fitting[0].absolute())
    return found


def refuse_scans(labels: Mapping[str, str], scans: Collection[Path]) -> None:
    """Refuse scans that were taken for label maps.  Raises DataError naming them."""
    taken = {_real(path) for path in scans}
    wrong = [case_id for case_id, path in labels.items() if _real(Path(path)) in taken]
    if wrong:
        raise DataError(
            f"{len(wrong)} scan(s) were found where label maps are expected, and no label map beside them: "
            f"{', '.join(wrong[:5])}; name the folder of the label maps"
        )


def _fitting(names: tuple[Mapping[str, list[Path]], ...], case_id: str) -> list[Path]:
    """Return the files that fit a case in the closest way in which any does; those called after label maps first."""
    plain, bare, core, subject = names
    ways = ((plain, case_id), (bare, case_id), (bare, core_of(case_id)), (core, case_id), (subject, case_id))
    fitting = [known.get(name, []) for known, name in ways if name]
    called = [[path for path in files if _is_called_labels(path)] for files in fitting]
    return next(filter(None, (*called, *fitting)), [])


def _is_called_labels(path: Path) -> bool:
    stem = split_ending(path.name)[0]
    return names_labels(stem) or hints_at_labels(stem) or is_label_folder(path.parent.name)


def _keys(folder: Path, path: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the ids that a file may be the label map of: by its whole name, its bare name, its core, its subject."""
    stem = split_ending(path.name)[0]
    bare, parts = without_label_words(stem), list(_parts(folder, path))
    subject = _SUBJECT.match(stem) if bare != stem else None
    with_folders = ["_".join((*parts[i:], *([bare] if bare else []))) for i in range(len(parts))]
    bared = [safe_id(name) for name in (bare, *with_folders) if name]
    cores = [safe_id(name) for key in (bare, *with_folders) if (name := core_of(key))]
    return [safe_id(stem)], bared, cores, [subject[1]] if subject else []


def _parts(folder: Path, path: Path) -> Iterator[str]:
    """Yield the folders that a file lies in, without those for images or labels."""
    for part in path.relative_to(folder).parts[:-1]:
        if part.lower() not in _IMAGE_FOLDERS and not is_label_folder(part):
            yield part


def _real(path: Path) -> str:
    return str(path.resolve())
