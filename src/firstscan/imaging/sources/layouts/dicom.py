"""DICOM in any folder structure: series by SeriesInstanceUID, co-registered series of a study as channels."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from firstscan.audit.series import check_places, check_series
from firstscan.audit.stack import Stack, assumed_positions
from firstscan.domain.case import Case, Channel, MetadataValue
from firstscan.domain.finding import Finding
from firstscan.imaging.dicom.headers import Headers, read_headers, unpacked
from firstscan.imaging.dicom.series import last_of_repeats, plain_patterns, series_of, told, without_derived
from firstscan.imaging.dicom.tags import Slice
from firstscan.imaging.files import digest, safe_id
from firstscan.imaging.modality import modality_of_text
from firstscan.imaging.sources.choosing import choose

_SAID_BY_READING = frozenset({"repeated-slices", "missing-slices"})
"""Of a multi-frame file these are told when it is read."""
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
    only : which series, as ``modality=MR`` or ``description=*T1*`` (:func:`firstscan.imaging.sources.choosing.choose`);
        ``modality`` is what DICOM calls it, and every column of the metadata can be asked for.
    headers : reads the files, or knows already what they tell.

    Series belong together when study, frame of reference, and grid (rows, columns, slices, spacing, orientation,
    position) are the same. Findings: damaged files, series that are no images, and those of ``check_series``.
    """
    images: list[Slice] = []
    findings: list[Finding] = []
    wanted = list(only)
    for path, tags in zip(files, unpacked(files, headers(files)), strict=True):
        if tags is None:
            continue
        if isinstance(tags, str):
            findings.append(_damaged(path, tags))
        elif tags.modality in IMAGE_MODALITIES and tags.rows > 0:
            images.append(tags)
        else:
            findings.append(_no_image(path, tags.modality))
    listed, odd = series_of(images)
    chosen, others = choose(listed, told, plain_patterns(wanted), noun="series", path=str(root))
    original, derived = without_derived(chosen, wanted)
    stacks, repeats = last_of_repeats(original, wanted)
    findings += [*odd, *others, *derived, *repeats]
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


def _grid(stack: Sequence[Slice]) -> tuple[object, ...]:
    first = stack[0]
    return (
        first.study,
        first.metadata.get("patient"),
        (first.frame_of_reference if first.placed else "") or first.series,
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


def _checked(case_id: str, series: Sequence[Slice]) -> tuple[Finding, ...]:
    first, path = series[0], str(Path(series[0].path).parent)
    stated = check_places(
        case_id,
        placed=first.placed,
        spaced=first.spaced,
        step_mm=first.step_mm,
        step_from=first.step_from,
        path=path,
    )
    found = check_series(
        case_id,
        stack=_stack(series),
        orientations=np.array([s.orientation for s in series]),
        description=first.description,
        image_type=first.image_type,
        path=path,
        missing_bytes=[s.path for s in series if s.missing_bytes > 0],
    )
    in_one_file = len(series) == 1
    return (*stated, *(f for f in found if not (in_one_file and f.code in _SAID_BY_READING)))


def _stack(series: Sequence[Slice]) -> Stack:
    """Return where the slices of a series lie, or the frames of its only file where they tell it."""
    first = series[0]
    orientation = np.array(first.orientation)
    pixel = (first.spacing_mm[1], first.spacing_mm[0])
    if len(series) == 1 and len(first.frame_positions) > 1:
        frames = np.array(first.frame_positions)
        along = frames @ np.cross(orientation[:3], orientation[3:])
        return Stack(frames[np.argsort(along, kind="stable")], orientation, pixel)
    if first.placed:
        return Stack(np.array([s.position_mm for s in series]), orientation, pixel)
    instances = np.array([float(s.instance) for s in series])
    return Stack(assumed_positions(instances, orientation, first.step_mm or 1.0), orientation, pixel)


def _damaged(path: Path, reason: str) -> Finding:
    return Finding(
        code="unreadable-file",
        severity="note",
        case_id="",
        message=f"{path.name} is no readable DICOM file: {reason}",
        remedy="copy or export this file again",
        path=str(path),
    )


_OBJECTS = {
    "SR": "a report (SR)", "DOC": "a report (document)", "KO": "a list of key images", "PR": "a presentation state",
    "RTSTRUCT": "a set of contours (RTSTRUCT)", "RTPLAN": "a treatment plan", "RTDOSE": "a dose (RTDOSE)",
    "SEG": "a segmentation (SEG)", "REG": "a registration", "PLAN": "a plan", "AU": "sound",
}  # fmt: skip
"""DICOM objects that are no scans, by their modality."""


def _no_image(path: Path, modality: str) -> Finding:
    if path.name.upper() == "DICOMDIR":
        what = "the table of contents of a DICOM disk (DICOMDIR)"
    else:
        what = _OBJECTS.get(modality, f"a DICOM object of modality {modality or 'unknown'}")
    return Finding(
        code="not-an-image",
        severity="note",
        case_id="",
        message=f"{path.name} is {what}, not a scan",
        remedy="nothing to do",
        path=str(path),
    )
