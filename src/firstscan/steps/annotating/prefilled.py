"""A plan by slice → label maps that show what is to be done: what is not asked for holds the ignore value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import DataError
from firstscan.domain.pool import Pool
from firstscan.domain.slices import PlannedSlices, SlicePlan, ignore_value, outside_ignored
from firstscan.imaging import write_image
from firstscan.imaging.orientation import canonical_axes
from firstscan.imaging.reading import read_raw
from firstscan.segmentation.aligning import laid_on
from firstscan.segmentation.dataset import ENDING
from firstscan.segmentation.grids import read_grid, read_labels, write_labels
from firstscan.segmentation.whole import require_written

UNKNOWN_CLASSES = 255
"""The ignore value where nobody has said which classes there will be."""


def ignore_of(classes: Mapping[str, int]) -> int:
    """Return the ignore value of a hand-off: one above the highest class, or 255 where no class is known."""
    return ignore_value(classes) if classes else UNKNOWN_CLASSES


def prefilled(
    plan: SlicePlan, pool: Pool, labels: Mapping[str, str], ignore: int, folder: Path, *, linked: bool
) -> dict[str, str]:
    """Write a label map for each planned scan into ``folder`` and return ``{case id: file}``.

    Planned slices hold the given label map of ``labels``, or background; all others hold ``ignore``. ``linked``: scans
    are handed over as they are stored; else they are converted to canonical orientation, and so are these.

    Raises
    ------
    DataError : a given label map lies on another grid than its scan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for number, planned in enumerate(plan):
        given = labels.get(planned.case_id)
        target = folder / f"{number:06d}{ENDING}"
        write = _as_stored if linked else _canonical
        write(pool[planned.case_id], planned, None if given is None else Path(given), ignore, target)
        made[planned.case_id] = str(target)
    return made


def laid_on_scans(labels: Mapping[str, str], cases: Pool, folder: Path) -> dict[str, str]:
    """Return ``labels`` with those that are stored otherwise than their scans written along the scans' axes.

    For programs that look at arrays alone, as nnU-Net does: they would take such a label map mirrored.

    Raises
    ------
    DataError : label maps that cannot be read or lie on other voxels than their scans; all of them are named.
    """
    placed, problems = dict(labels), []
    folder.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(case for case in cases if case.case_id in labels):
        given = Path(labels[case.case_id])
        try:
            scan = read_grid(Path(case.path))
            if read_grid(given).is_same(scan):
                continue
            target = folder / f"{number:06d}{ENDING}"
            write_labels(laid_on(*read_labels(given), scan), scan, target)
            placed[case.case_id] = str(target)
        except DataError as error:
            problems.append(f"{case.case_id}: {error}")
    if problems:
        raise DataError(
            f"{len(problems)} label map(s) do not lie on the voxels of their scans: {'; '.join(problems[:5])}. Draw a "
            "label map on its own scan, or resample it to the scan's grid"
        )
    return placed


def _as_stored(case: Case, planned: PlannedSlices, given: Path | None, ignore: int, target: Path) -> None:
    grid = read_grid(Path(case.path))
    values = np.zeros(grid.shape, dtype=np.int32)
    if given is not None:
        labels, own = read_labels(given)
        values = laid_on(labels, own, grid)
    write_labels(outside_ignored(values, planned.axis, planned.indices, ignore), grid, target)


def _canonical(case: Case, planned: PlannedSlices, given: Path | None, ignore: int, target: Path) -> None:
    raw = read_raw(Case(case.case_id, case.channels[:1]))
    axis, sign = canonical_axes(raw.headers[0].direction)[planned.axis]
    n = raw.voxels.shape[1 + axis]
    indices = planned.indices if sign > 0 else tuple(n - 1 - i for i in reversed(planned.indices))
    values = np.zeros(raw.voxels.shape[1:], dtype=np.int32)
    if given is not None:
        labels = read_raw(Case("label", (Channel("label", str(given)),)))
        if labels.voxels.shape[1:] != values.shape:
            raise DataError(f"{case.case_id}: its label map has another number of voxels than the scan")
        values = labels.voxels[0].astype(np.int32)
    filled = outside_ignored(values, axis, indices, ignore)
    write_image(target, filled.astype(np.float32), raw.affine, "uint8" if ignore < 256 else "uint16")
    require_written(target)
