"""Predictions and labels → scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.scores import Score
from firstscan.domain.slices import refuse_class
from firstscan.execution import Progress, Silent
from firstscan.imaging.files import is_volume, split_ending
from firstscan.segmentation.evaluate import TOLERANCE_MM, score_files
from firstscan.steps.annotating.label_maps import find_classes, read_classes, read_ignore
from firstscan.steps.annotating.matching import match_labels
from firstscan.steps.running.results import finished, guard
from firstscan.steps.running.run import Settings
from firstscan.store import atomic_write, file_sha256, identity, open_workspace, write_manifest

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

    ``classes`` (name → value): default those of a ``dataset.json`` beside the labels, else the values found in labels
    and predictions. Voxels that hold the ignore value of that ``dataset.json`` are left out.

    Raises
    ------
    UsageError : no such folder, or an ignore value that is also a class.
    DataError : no prediction, one without a label map, another geometry, or values that are no class.
    """
    files = _predictions(predictions)
    truth = match_labels(labels, files)
    missing = [name for name in files if name not in truth]
    if missing:
        raise DataError(f"{len(missing)} prediction(s) have no label map in {labels}: {', '.join(missing[:5])}")
    ignore = read_ignore(labels)
    named = dict(classes or read_classes(labels) or _found(files, truth))
    refuse_class(ignore, named, f"the label maps in {labels}")
    shown = progress or Silent()
    shown.start("Scoring", len(files))
    scores: list[Score] = []
    for name, path in files.items():
        scores.extend(score_files(name, path, Path(truth[name]), named, tolerance_mm=tolerance_mm, ignore=ignore))
        shown.advance(1, name)
    shown.finish()
    return tuple(scores)


def run_evaluate(predictions: Path, labels: Path, out: Path, settings: Settings) -> tuple[Score, ...]:
    """Score and write ``scores.csv`` into ``out``, unless the scores of these files are there already.

    Raises
    ------
    UsageError : ``out`` holds another result.  DataError : what :func:`evaluate` raises.
    """
    files = _predictions(predictions)
    truth = match_labels(labels, files)
    inputs = {
        name: identity(*(file_sha256(Path(p)) for p in (path, truth.get(name)) if p)) for name, path in files.items()
    }
    config = {
        "predictions": str(predictions.absolute()),
        "labels": str(labels.absolute()),
        "tolerance_mm": TOLERANCE_MM,
    }
    with open_workspace(out):
        manifest = guard(out, "evaluate", config, overwrite=settings.overwrite)
        if finished(out, manifest, "evaluate", inputs):
            return read_scores(out / SCORES)
        scores = evaluate(predictions, labels, progress=settings.progress)
        write_scores(out, scores)
        write_manifest(out, kind="evaluate", version=__version__, config=config, inputs=inputs, files=[SCORES])
    return scores


def summed(scores: Iterable[Score]) -> tuple[str, ...]:
    """Return one line a class: its means over the scans, and how often the rules for empty masks decided."""
    by_class: dict[str, list[Score]] = {}
    for score in scores:
        by_class.setdefault(score.name, []).append(score)
    lines = []
    for name, mine in by_class.items():
        dice, hd95, nsd = (sum(getattr(s, m) for s in mine) / len(mine) for m in ("dice", "hd95_mm", "nsd"))
        line = f"{name}: Dice {dice:.3f}, HD95 {hd95:.1f} mm, NSD {nsd:.3f} at {TOLERANCE_MM:g} mm, {len(mine)} scan(s)"
        one, both = (sum(s.status == f"{which}_empty" for s in mine) for which in ("one", "both"))
        if one:
            line += f"; in {one} only the prediction or only the label holds it: Dice 0, HD95 the image diagonal"
        if both:
            line += f"; in {both} neither holds it: Dice 1, HD95 0"
        lines.append(line)
    return tuple(lines)


def read_scores(path: Path) -> tuple[Score, ...]:
    """Return the scores of a ``scores.csv``."""
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            Score(
                row["case_id"],
                int(row["label"]),
                row["class"],
                float(row["dice"]),
                float(row["hd95_mm"]),
                float(row["nsd"]),
                row["status"],
            )
            for row in csv.DictReader(file)
        )


def _predictions(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name the folder that holds the predictions")
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.glob("*") if is_volume(p.name)):
        if (other := files.setdefault(split_ending(path.name)[0], path)) != path:
            raise DataError(f"two predictions of one name in {folder}: {other.name} and {path.name}; keep one of them")
    if not files:
        raise DataError(f"{folder} holds no prediction; label maps as .nii.gz, .nrrd or .mha are read")
    return files


def _found(predictions: Mapping[str, Path], truth: Mapping[str, str]) -> dict[str, int]:
    """Return a class for each value that labels or predictions hold."""
    return find_classes({**truth, **{f"prediction {n}": str(p) for n, p in predictions.items()}}, workers=1)


def write_scores(out: Path, scores: Iterable[Score]) -> Path:
    """Write ``scores.csv`` into ``out``: one row a case and class, with every digit."""
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(s) for s in scores)
    return atomic_write(out / SCORES, text.getvalue())
