"""Predictions that were handed over as first labels: what was changed in them, and which came back as they were."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError
from firstscan.domain.finding import Finding
from firstscan.domain.scores import Score
from firstscan.segmentation.aligning import laid_on
from firstscan.segmentation.evaluate import score_case
from firstscan.segmentation.grids import read_labels

from .returned import Part
from .returned_map import Drawn, Examined

CORRECTIONS = "corrections.csv"
COLUMNS = (
    "case_id", "reader", "label", "class", "dice", "hd95_mm", "nsd", "status", "slices", "slices_touched",
    "voxels_changed",
)  # fmt: skip


@dataclass(frozen=True)
class Correction:
    """How a prediction differs from the label map it became.

    ``scores`` hold the prediction against the final label map, a class each. ``slices`` are those in which either
    marks anything, along the axis of the largest spacing; ``touched`` those in which a voxel was changed.
    """

    case_id: str
    reader: str
    scores: tuple[Score, ...]
    slices: int
    touched: int
    voxels: int


def judged(
    parts: Sequence[Part],
    drawn: Sequence[Drawn],
    examined: Sequence[Examined],
    classes: Mapping[str, int],
    *,
    confirmed: bool,
) -> tuple[list[Examined], tuple[Correction, ...]]:
    """Return what was examined, with a finding for each prediction that came back unchanged, and all corrections.

    An unchanged prediction is no annotation: it is taken only where somebody has ``confirmed`` that such were looked
    at.  ``classes`` may be empty: then those that occur.
    """
    handed = {
        (step.case_id, part.reader): step.prediction for part in parts for step in part.trail.steps if step.prediction
    }
    told, corrections = [], []
    for item, result in zip(drawn, examined, strict=True):
        prediction = handed.get((item.case_id, item.reader))
        if prediction is None or not result.usable:
            told.append(result)
            continue
        try:
            found = _compared(item, prediction, classes)
        except DataError as error:
            told.append(replace(result, findings=(*result.findings, _lost(item, error))))
            continue
        corrections.append(found)
        untouched = () if found.voxels else (_untouched(item, confirmed=confirmed),)
        told.append(replace(result, findings=(*result.findings, *untouched)))
    return told, tuple(corrections)


def _compared(item: Drawn, prediction: Path, classes: Mapping[str, int]) -> Correction:
    final, grid = read_labels(item.copy)
    before = laid_on(*read_labels(prediction), grid)
    known = np.ones(final.shape, dtype=bool)
    if item.ignore is not None:
        known = (final != item.ignore) & (before != item.ignore)
    final, before = np.where(known, final, 0), np.where(known, before, 0)
    values = sorted({int(v) for v in (*np.unique(final), *np.unique(before)) if v})
    named = classes or {f"class {v}": v for v in values}
    changed = final != before
    axis = 2 - int(np.argmax(grid.spacing_mm[::-1]))
    marked = _along(axis, (final != 0) | (before != 0))
    touched = _along(axis, changed)
    scores = score_case(item.case_id, before, final, grid.spacing_mm, named)
    return Correction(
        item.case_id, item.reader, scores, int(marked.sum()), int(touched.sum()), int(np.count_nonzero(changed))
    )


def _along(axis: int, mask: np.ndarray) -> np.ndarray:
    """Return which slices along ``axis`` hold anything."""
    return np.asarray(mask.any(axis=tuple(a for a in range(3) if a != axis)))


def _untouched(item: Drawn, *, confirmed: bool) -> Finding:
    said = f"{item.reader}: the prediction that was handed over came back unchanged"
    if confirmed:
        message, remedy = f"{said}; it was confirmed and counts as an annotation", "nothing to do"
        return Finding("prediction-untouched", "note", item.case_id, message, remedy, path=str(item.path))
    message = f"{said}: not taken for an annotation"
    remedy = "correct it; where it was looked at and is right, collect with --confirm-untouched"
    return Finding("prediction-untouched", "drop", item.case_id, message, remedy, path=str(item.path))


def _lost(item: Drawn, error: DataError) -> Finding:
    message = f"{item.reader}: what was changed in the prediction is not known: {error}"
    remedy = "put the folder predictions of the hand-off back as it was"
    return Finding("prediction-lost", "warn", item.case_id, message, remedy, path=str(item.path))


def corrections_table(rows: Sequence[Correction]) -> str:
    """Return the corrections as CSV, a line a scan, reader and class, with every digit."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        for s in row.scores:
            own = (s.label, s.name, s.dice, s.hd95_mm, s.nsd, s.status)
            writer.writerow([row.case_id, row.reader, *own, row.slices, row.touched, row.voxels])
    return text.getvalue()


def corrected_before(labels: Path) -> dict[str, float] | None:
    """Return what a collection says of predictions that came back: scans, mean Dice to the final, share of slices.

    ``labels`` is the folder that ``firstscan collect`` wrote; None where it tells nothing of corrections.
    """
    table = labels / CORRECTIONS
    if not table.is_file():
        return None
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    dice = [float(row["dice"]) for row in rows if row["status"] != "both_empty"]
    scans = {(row["case_id"], row["reader"]): row for row in rows}.values()
    slices = sum(int(row["slices"]) for row in scans)
    if not dice or not slices:
        return None
    touched = sum(int(row["slices_touched"]) for row in scans) / slices
    return {"scans": len({row["case_id"] for row in rows}), "dice": float(np.mean(dice)), "touched": touched}


def summed(rows: Sequence[Correction]) -> str:
    """Return in one line how much was corrected; empty where no prediction was handed over."""
    if not rows:
        return ""
    dice = [s.dice for row in rows for s in row.scores if s.status != "both_empty"]
    slices, touched = sum(row.slices for row in rows), sum(row.touched for row in rows)
    mean = f"mean Dice of prediction to final {np.mean(dice):.3f}, " if dice else ""
    share = f"{touched} of {slices} slices touched ({100 * touched / slices:.0f} %)" if slices else "no slice marked"
    return f"Predictions of {len(rows)} scan(s) came back: {mean}{share}"
