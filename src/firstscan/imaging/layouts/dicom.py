"""DICOM in any folder structure: series by SeriesInstanceUID, co-registered series of a study as channels."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from firstscan.audit.series import check_series
from firstscan.domain.case import Case, Channel, MetadataValue
from firstscan.domain.finding import Finding
from firstscan.imaging.choosing import choose
from firstscan.imaging.dicom_headers import Headers, read_headers, unpacked
from firstscan.imaging.dicom_tags import Slice
from firstscan.imaging.files import digest, safe_id
from firstscan.imaging.modality import modality_of_text

IMAGE_MODALITIES = frozenset({"CT", "MR", "PT", "NM", "US", "OT"})


def read_dicom(
    root: Path,
    files: Sequence[Path],
    only: Iterable[str] = (),
    headers: Headers = read_headers,
) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Return one case for each set of co-registered series of a study, and what was left out.

    Parameters
    ----------
    only : which series, as ``modality=MR`` or ``description=*T1*`` (:func:`firstscan.imaging.choosing.choose`);
        ``modality`` is what DICOM calls it, and every column of the metadata can be asked for.
    headers : reads the files, or knows already what they tell.

    Series belong together when study, frame of reference, and grid (rows, columns, slices, spacing, orientation,
    position) are the same. Findings: damaged files, series that are no images, and those of ``check_series``.
    """
    series: dict[str, list[Slice]] = defaultdict(list)
    findings: list[Finding] = []
    for path, tags in zip(files, unpacked(files, headers(files)), strict=True):
        if tags is None:
            continue
        if isinstance(tags, str):
            findings.append(_damaged(path, tags))
        elif tags.modality in IMAGE_MODALITIES and tags.rows > 0:
            series[tags.series].append(tags)
        else:
            findings.append(_no_image(path, tags.modality))
    stacks, left_out = choose(
        [_sorted(members) for members in series.values()], _told, only, noun="series", path=str(root)
    )
    findings += left_out
    groups: dict[tuple[object, ...], list[list[Slice]]] = defaultdict(list)
    for stack in stacks:
        groups[_grid(stack)].append(stack)
    cases = []
    ids = _ids(root, list(groups.values()))
    for case_id, group in zip(ids, groups.values(), strict=True):
        ordered = sorted(group, key=lambda s: (s[0].number, s[0].series))
        cases.append(_case(case_id, ordered))
        findings += [f for stack in ordered for f in _checked(case_id, stack)]
    return tuple(cases), tuple(findings)


def _sorted(members: Sequence[Slice]) -> list[Slice]:
    return sorted(members, key=lambda s: (s.along_normal, s.instance, s.path))


def _told(stack: Sequence[Slice]) -> dict[str, MetadataValue]:
    first = stack[0]
    return {**first.metadata, "modality": first.modality, "description": first.description}


def _grid(stack: Sequence[Slice]) -> tuple[object, ...]:
    first = stack[0]
    return (
        first.study,
        first.frame_of_reference or first.series,
        first.rows,
        first.columns,
        len(stack),
        first.frames,
        tuple(np.round(first.spacing_mm, 3)),
        tuple(np.round(first.orientation, 3) + 0.0),
        tuple(np.round(first.position_mm, 1) + 0.0),
        tuple(np.round(stack[-1].position_mm, 1) + 0.0),
    )


def _ids(root: Path, groups: Sequence[Sequence[Sequence[Slice]]]) -> list[str]:
    """Name each case after the folder that holds its series; a series description or a hash keeps them apart."""
    names = []
    for group in groups:
        folders = {str(Path(s.path).parent) for stack in group for s in stack}
        shared = Path(os.path.commonpath(folders))
        parts = shared.relative_to(root).parts if shared != root else ()
        names.append(safe_id("_".join(parts)) if parts else "")
    twice = {n for n, count in Counter(names).items() if count > 1 or not n}
    ids = []
    for name, group in zip(names, groups, strict=True):
        first = group[0][0]
        own = safe_id(f"{name}_{first.description or 'series'}".strip("_"))
        ids.append(own if name in twice else name)
    again = {n for n, count in Counter(ids).items() if count > 1}
    return [f"{n}-{digest(g[0][0].series)}" if n in again else n for n, g in zip(ids, groups, strict=True)]


def _case(case_id: str, stacks: Sequence[Sequence[Slice]]) -> Case:
    names: Counter[str] = Counter()
    channels = []
    for stack in stacks:
        name = stack[0].description or "image"
        names[name] += 1
        files = tuple(s.path for s in stack)
        channels.append(
            Channel(
                name=name if names[name] == 1 else f"{name} ({names[name]})",
                path=files[0] if len(files) == 1 else str(Path(files[0]).parent),
                files=() if len(files) == 1 else files,
            )
        )
    known: dict[str, MetadataValue] = dict(stacks[0][0].metadata)
    known["modality"] = modality_of_text(stacks[0][0].modality) or "other"
    return Case(case_id, tuple(channels), MappingProxyType(known))


def _checked(case_id: str, stack: Sequence[Slice]) -> tuple[Finding, ...]:
    first = stack[0]
    return check_series(
        case_id,
        positions_mm=np.array([s.along_normal for s in stack]),
        orientations=np.array([s.orientation for s in stack]),
        description=first.description,
        image_type=first.image_type,
        path=str(Path(first.path).parent),
        missing_bytes=[s.path for s in stack if s.missing_bytes > 0],
    )


def _damaged(path: Path, reason: str) -> Finding:
    return Finding(
        code="unreadable-file",
        severity="note",
        case_id="",
        message=f"{path.name} is no readable DICOM file: {reason}",
        remedy="copy or export this file again",
        path=str(path),
    )


def _no_image(path: Path, modality: str) -> Finding:
    return Finding(
        code="not-an-image",
        severity="note",
        case_id="",
        message=f"{path.name} is a DICOM object of modality {modality or 'unknown'}, not a scan",
        remedy="nothing to do",
        path=str(path),
    )
