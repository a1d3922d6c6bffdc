"""Predictions and labels → scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path

from firstscan.domain.errors import DataError
from firstscan.domain.scores import Score
from firstscan.execution import Progress, Silent
from firstscan.imaging.files import is_volume, split_ending
from firstscan.segmentation.evaluate import TOLERANCE_MM, score_files
from firstscan.store import atomic_write

from .labels import find_classes, match_labels, read_classes

SCORES = "scores.csv"
COLUMNS = ("case_id", "label", "class", "dice", "hd95_mm", "nsd", "status")


def evaluate(
    predictions: Path,
    labels: Path,
    *,
    classes: Mapping[str, int] | None = None,
    tolerance_mm: float = TOLERANCE_MM,
    progress: Progress | None = None,
) -> tuple[Score, ...]:
    """Score every prediction in a folder against the label map of the same name.

    ``classes`` (name → value): default those of a ``dataset.json`` beside the labels, else the values found in them.

    Raises
    ------
    DataError : no prediction, one without a label map, another geometry, or values that are no class.
    """
    files = {split_ending(p.name)[0]: p for p in sorted(predictions.glob("*")) if is_volume(p.name)}
    if not files:
        raise DataError(f"{predictions} holds no prediction; label maps as .nii.gz, .nrrd or .mha are read")
    truth = match_labels(labels, files)
    missing = [name for name in files if name not in truth]
    if missing:
        raise DataError(f"{len(missing)} prediction(s) have no label map in {labels}: {', '.join(missing[:5])}")
    named = dict(classes or read_classes(labels) or find_classes(truth, workers=1))
    shown = progress or Silent()
    shown.start("Scoring", len(files))
    scores: list[Score] = []
    for name, path in files.items():
        scores.extend(score_files(name, path, Path(truth[name]), named, tolerance_mm=tolerance_mm))
        shown.advance(1, name)
    shown.finish()
    return tuple(scores)


def write_scores(out: Path, scores: Iterable[Score]) -> Path:
    """Write ``scores.csv`` into ``out``: one row a case and class, with every digit."""
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(s) for s in scores)
    return atomic_write(out / SCORES, text.getvalue())
