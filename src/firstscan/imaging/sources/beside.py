"""DICOM series and scans in other formats in one source: both are taken, and a scan that is there in both once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from firstscan.domain.axes import turn_onto
from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import ScanError
from firstscan.domain.finding import Finding
from firstscan.domain.volume import Header
from firstscan.imaging._sitk import sitk
from firstscan.imaging.channels import read_header
from firstscan.imaging.dicom.headers import Headers
from firstscan.imaging.dicom.reading import read_series
from firstscan.imaging.files import is_nifti
from firstscan.imaging.formats.nifti import nifti_header
from firstscan.imaging.reading import read_array

from .choosing import fits
from .label_content import Looker
from .label_maps import As, like_labels
from .layouts.dicom import read_dicom

Found = tuple[tuple[Case, ...], tuple[Finding, ...]]

BOTH = "folder and dicom"
"""What the layout of such a source is called."""
SAME_SCAN = 0.999
"""Two files hold one scan where their voxels, on one grid, correlate by at least so much in the middle slice."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What is to be read: DICOM ``files`` below ``root``, which series (``only``), and how findings are ``judged``."""

    root: Path
    files: Sequence[Path]
    only: Sequence[str]
    headers: Headers
    judged: As


def read_both(order: Beside, volumes: Callable[[bool], Found]) -> tuple[Found, bool]:
    """Return the scans of both kinds, and whether there are any of DICOM.

    A series that is there as a converted file, too (the same voxels at the same places), is left out with a finding; a
    file of few whole values on the grid of a series is a label map. Where ids are the same, series get another one.

    Parameters
    ----------
    volumes : reads the files of other formats; it is told whether there are DICOM scans beside them.
    """
    cases, findings = read_dicom(order.root, order.files, order.only, order.headers)
    others, notes = volumes(bool(cases))
    if not cases:
        return (others, (*findings, *notes)), False
    others, unasked = _asked(order, others)
    cases, findings = _renamed(cases, findings, {case.case_id for case in others})
    others, twins = _compared(order, cases, others)
    return ((*others, *cases), (*notes, *unasked, *twins, *findings)), True


def _asked(order: Beside, others: Sequence[Case]) -> Found:
    """Leave out the files of other formats that do not fit ``only``: nothing is known of most of them."""
    kept = tuple(case for case in others if fits(case.metadata, order.only))
    gone = len(others) - len(kept)
    if not gone:
        return kept, ()
    message = f"{gone} of {len(others)} scans beside the DICOM series do not fit --only {' '.join(order.only)}"
    return kept, (Finding("not-asked-for", "note", "", message, "nothing to do", str(order.root), float(gone)),)


def _renamed(cases: Sequence[Case], findings: Sequence[Finding], taken: set[str]) -> Found:
    """Return series and their findings without ids that scans in other formats have already."""
    ids = {case.case_id: f"{case.case_id}-dicom" for case in cases if case.case_id in taken}
    return (
        tuple(replace(case, case_id=ids.get(case.case_id, case.case_id)) for case in cases),
        tuple(replace(f, case_id=ids[f.case_id]) if f.case_id in ids else f for f in findings),
    )


def _compared(order: Beside, cases: Sequence[Case], others: Sequence[Case]) -> Found:
    """Leave out series that are there as converted files, and files that are label maps of series."""
    looker, labels = Looker(), set[Path]()
    findings: list[Finding] = []
    single = {Path(c.path): case.case_id for case in others for c in case.channels if c.component is None}
    near = _by_shape(single)
    for case in cases:
        copies = []
        for channel in case.channels:
            grid = _grid_of(channel)
            for path, header in near.get(_shape(grid), ()) if grid is not None else ():
                if grid is None or path in labels or not _one_grid(grid, header):
                    continue
                if _same_scan(channel, grid, path):
                    copies.append(path)
                    break
                if looker.holds_labels(path):
                    labels.add(path)
                    findings += order.judged([like_labels(order.root, path)])
        if len(copies) == len(case.channels):
            findings.append(_copied(case, copies))
    dropped = {Path(f.path) for f in findings if f.code == "looks-like-labels" and f.severity == "drop"}
    gone = {single[path] for path in dropped}
    named = [
        replace(f, case_id=single[Path(f.path)]) if f.code == "looks-like-labels" and f.severity != "drop" else f
        for f in findings
    ]
    return tuple(case for case in others if case.case_id not in gone), tuple(named)


def _by_shape(paths: Iterable[Path]) -> dict[tuple[int, ...], list[tuple[Path, Header]]]:
    """Return the files with their headers by the number of voxels along their sides, in order of size."""
    found: dict[tuple[int, ...], list[tuple[Path, Header]]] = defaultdict(list)
    for path in paths:
        header = _header_of(Channel("image", str(path)))
        if header is not None and header.components == 1:
            found[_shape(header)].append((path, header))
    return found


def _shape(header: Header | None) -> tuple[int, ...]:
    return () if header is None else tuple(sorted(header.shape))


def _header_of(channel: Channel) -> Header | None:
    try:
        quick = nifti_header(Path(channel.path)) if is_nifti(channel.path) else None
        return quick or read_header(channel)
    except (ScanError, OSError):
        return None  # whoever reads it says what is wrong


def _grid_of(channel: Channel) -> Header | None:
    """Return the grid of a series by its first and its last slice; None where it is no stack of files."""
    if len(channel.files) < 2:
        return None
    ends = [_header_of(Channel(channel.name, path)) for path in (channel.files[0], channel.files[-1])]
    if ends[0] is None or ends[1] is None:
        return None
    step = float(np.linalg.norm(np.subtract(ends[1].origin_mm, ends[0].origin_mm))) / (len(channel.files) - 1)
    first = ends[0]
    spacing = (first.spacing_mm[0], first.spacing_mm[1], step)
    return replace(first, shape=(*first.shape[:2], len(channel.files)), spacing_mm=spacing) if step > 0 else None


def _one_grid(a: Header, b: Header) -> bool:
    return len(b.shape) == 3 and turn_onto(a.affine, a.shape, b.affine, b.shape) is not None


def _same_scan(channel: Channel, grid: Header, path: Path) -> bool:
    """Tell whether the middle slice of a series is that of a file, up to its scale."""
    at = len(channel.files) // 2
    try:
        voxels, affine = read_array(path)
        ours = np.asarray(sitk().GetArrayFromImage(read_series(channel.files[at : at + 1]))[0].T.ravel(), np.float64)
    except (ScanError, RuntimeError, OSError):
        return False
    x, y = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, at), np.ones(x.size)])
    there = np.rint((np.linalg.inv(affine) @ grid.affine @ points)[:3]).astype(int)
    theirs = voxels[tuple(np.clip(there, 0, np.array(voxels.shape)[:, None] - 1))].astype(np.float64)
    if ours.size != theirs.size or not (ours.std() > 0 and theirs.std() > 0):
        return False
    return float(np.corrcoef(ours, theirs)[0, 1]) >= SAME_SCAN


def _copied(case: Case, copies: Sequence[Path]) -> Finding:
    names = " and ".join(path.name for path in copies)
    return Finding(
        code="converted-copy",
        severity="drop",
        case_id=case.case_id,
        message=f"this DICOM series and {names} are one scan (the same voxels at the same places); the file is kept",
        remedy="nothing to do; to take the series instead of such files, read the source with --layout dicom",
        path=case.path,
    )
