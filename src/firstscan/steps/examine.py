"""One returned label map: does it fit its scan and the class list, and is there anything in it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError
from firstscan.domain.finding import Finding
from firstscan.segmentation.aligning import laid_on
from firstscan.segmentation.grids import read_grid, read_labels, read_segments, write_labels


@dataclass(frozen=True, slots=True)
class Drawn:
    """A label map to look at: whose, of which scan, drawn on which image, and where its clean copy goes."""

    case_id: str
    reader: str
    path: Path
    image: Path
    copy: Path
    classes: Mapping[str, int]
    allow_empty: bool


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
    values = tuple(int(v) for v in np.unique(labels) if v)
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
        drawn.copy.parent.mkdir(parents=True, exist_ok=True)
        write_labels(turned, scan, drawn.copy)
    return examined


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
