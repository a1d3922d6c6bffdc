"""One returned label map: does it fit its scan and the class list, and is there anything in it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstscan.domain.arrays import LabelMap
from firstscan.domain.errors import DataError
from firstscan.domain.finding import Finding
from firstscan.domain.slices import ScanGeometry, outside_ignored
from firstscan.segmentation.aligning import laid_on
from firstscan.segmentation.grids import Grid, read_grid, read_labels, read_segments, write_labels
from firstscan.selection.slices.planning import located
from firstscan.selection.slices.settings import read_plane


@dataclass(frozen=True, slots=True)
class Drawn:
    """A label map to look at: whose, of which scan, drawn on which image, and where its clean copy goes.

    ``positions_mm`` are the planned slices of ``plane``, none where the whole scan was to be annotated; ``ignore``
    marks what was not. ``confirm_empty``: planned slices in which nothing is marked show nothing.
    """

    case_id: str
    reader: str
    path: Path
    image: Path
    copy: Path
    classes: Mapping[str, int]
    allow_empty: bool
    ignore: int | None = None
    plane: str = ""
    positions_mm: tuple[float, ...] = ()
    confirm_empty: bool = False


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found: the class values in it, and what is wrong; without a ``drop`` the copy is there and usable."""

    values: tuple[int, ...]
    findings: tuple[Finding, ...]
    segments: tuple[tuple[str, int], ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it may be taken."""
        return all(finding.severity != "drop" for finding in self.findings)


def examine(drawn: Drawn) -> Examined:
    """Check a label map; where it serves, write it on its scan's own grid to ``drawn.copy``."""
    try:
        scan = read_grid(drawn.image)
    except DataError:
        message = f"the scan it was drawn on is not there any more, or cannot be read: {drawn.image.name}"
        return Examined((), (finding(drawn, "label-no-scan", message, "put the scan back, or hand it off again"),))
    try:
        labels, grid = read_labels(drawn.path)
        segments = read_segments(drawn.path)
    except DataError as error:
        message = str(error).replace(str(drawn.path), drawn.path.name)
        return Examined((), (finding(drawn, "label-unreadable", message, "save it again as one label map a scan"),))
    values = tuple(int(v) for v in np.unique(labels) if v and v != drawn.ignore)
    found = [*_of_classes(drawn, values), *_of_names(drawn, segments)]
    if not values and not drawn.allow_empty:
        message = "nothing is marked in it"
        remedy = "finish it; where the scan really holds nothing to mark, add --allow-empty"
        found.append(finding(drawn, "label-empty", message, remedy))
    try:
        turned = laid_on(labels, grid, scan)
    except DataError as error:
        message = f"it does not lie on the scan's voxels: {error} (scan against label map)"
        remedy = "export it with the scan as reference geometry, or resample it to the scan with nearest neighbours"
        found.append(finding(drawn, "label-geometry", message, remedy))
    examined = Examined(values, tuple(found), tuple(segments.items()))
    if examined.usable:
        if drawn.positions_mm and drawn.ignore is not None:
            turned, missing = _annotated(drawn, turned, scan, drawn.ignore)
            examined = Examined(values, (*found, *missing), examined.segments)
        drawn.copy.parent.mkdir(parents=True, exist_ok=True)
        write_labels(turned, scan, drawn.copy)
    return examined


def _annotated(drawn: Drawn, labels: LabelMap, scan: Grid, ignore: int) -> tuple[LabelMap, list[Finding]]:
    """Return the label map in which all but the annotated slices are ignored, and what is missing of the plan.

    A slice in which a class is marked is annotated, planned or not. A planned slice of plain background looks the same
    whether it was finished or forgotten: it counts only where somebody confirms.
    """
    axis, planned = located(read_plane(drawn.plane), drawn.positions_mm, _geometry(drawn.case_id, scan))
    others = tuple(a for a in range(3) if a != axis)
    marked = ((labels != 0) & (labels != ignore)).any(axis=others)
    untouched = (labels == ignore).all(axis=others)
    empty = [i for i in planned if not marked[i] and not untouched[i]]
    left = [i for i in planned if untouched[i]]
    done = sorted({*np.flatnonzero(marked).tolist(), *(empty if drawn.confirm_empty else [])})
    found = []
    if left:
        message = f"{_listed(left)} of {len(planned)} planned slices still ignored"
        found.append(_warning(drawn, "slices-missing", message, "annotate them, and collect again"))
    if empty and not drawn.confirm_empty:
        message = f"nothing is marked in {_listed(empty)} of {len(planned)} planned slices: they are not taken"
        remedy = "annotate what was forgotten; where the others really show nothing, collect with --confirm-empty"
        found.append(_warning(drawn, "slices-empty", message, remedy))
    return outside_ignored(labels, axis, tuple(done), ignore), found


def _geometry(case_id: str, grid: Grid) -> ScanGeometry:
    x, y, z = grid.shape
    ends = ((0, x - 1), (0, y - 1), (0, z - 1))
    a, b, c = grid.spacing_mm
    i, j, k = grid.origin_mm
    return ScanGeometry(case_id, (x, y, z), (a, b, c), grid.direction, (i, j, k), ends)


def _listed(indices: list[int]) -> str:
    shown = ", ".join(str(i + 1) for i in indices[:5])
    return f"{len(indices)} (number {shown}{', …' if len(indices) > 5 else ''})"


def _warning(drawn: Drawn, code: str, message: str, remedy: str) -> Finding:
    return Finding(code, "warn", drawn.case_id, f"{drawn.reader}: {message}", remedy, path=str(drawn.path))


def finding(drawn: Drawn, code: str, message: str, remedy: str) -> Finding:
    """Return a finding that leaves the label map out."""
    return Finding(code, "drop", drawn.case_id, f"{drawn.reader}: {message}", remedy, path=str(drawn.path))


def _of_classes(drawn: Drawn, values: tuple[int, ...]) -> list[Finding]:
    extra = sorted(set(values) - set(drawn.classes.values())) if drawn.classes else []
    if not extra:
        return []
    listed = ", ".join(f"{name} = {value}" for name, value in drawn.classes.items())
    held = f"the value{'s' * (len(extra) > 1)} {', '.join(map(str, extra[:5]))}{', …' * (len(extra) > 5)}"
    message = f"it holds {held}, which the class list does not name ({listed})"
    return [finding(drawn, "label-classes", message, "correct the label map, or name the class with --classes")]


def _of_names(drawn: Drawn, segments: Mapping[str, int]) -> list[Finding]:
    """Compare the names that 3D Slicer keeps with the class list: its values follow the order of drawing."""
    by_name = {name.casefold(): value for name, value in drawn.classes.items()}
    wrong = {n: v for n, v in segments.items() if n.casefold() in by_name and by_name[n.casefold()] != v}
    if not wrong:
        return []
    name, value = next(iter(wrong.items()))
    message = f"its segment {name!r} has the value {value}, but the class list says {by_name[name.casefold()]}"
    remedy = (
        "3D Slicer numbers segments as they were drawn: put them in the class list's order, or export by colour table"
    )
    return [finding(drawn, "label-names", message, remedy)]
