"""Predictions of a round's picks as label maps, and whether another program's predictions can be what they seem."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from firstscan._version import __version__
from firstscan.domain.case import Case
from firstscan.domain.errors import DataError
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.imaging.reading import read_raw
from firstscan.segmentation.aligning import laid_on
from firstscan.segmentation.grids import Grid, read_grid, read_labels
from firstscan.segmentation.probabilities import read_probabilities
from firstscan.selection.amend import ROUNDS
from firstscan.steps.annotating.predicted import COLUMNS, TABLE, read_predicted
from firstscan.steps.annotating.tool_folder import linkable
from firstscan.steps.running.run import Run
from firstscan.store import atomic_write, dump_json, write_manifest

from .ensemble import Labelled
from .predictions import ByOthers, Source, write_label_maps

_CLEARLY = 0.5


def keep_label_maps(run: Run, source: Source, targets: Mapping[str, Path], selection: Selection) -> tuple[Finding, ...]:
    """Write predicted label maps beside those of earlier rounds, or in their place, and the table that lists all.

    The folder says of itself that it holds predictions: its ``dataset.json`` and table are for ``handoff --prelabel``,
    not for training.  Returns findings about picks that could not be predicted: they keep what they had.
    """
    folder = next(iter(targets.values())).parent
    folder.mkdir(exist_ok=True)
    failed = write_label_maps(run, source, targets)
    lost = {f.case_id for f in failed}
    rounds = selection.diagnostics[ROUNDS]
    rows = {
        **{i: row for i, row in read_predicted(folder).items() if i in selection.case_ids},
        **{i: (p.name, str(len(rounds)), str(rounds[-1]["model"])) for i, p in targets.items() if i not in lost},
    }
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((i, *rows[i]) for i in selection.case_ids if i in rows)
    atomic_write(folder / TABLE, text.getvalue())
    labels = {"background": 0, **source.classes}
    atomic_write(folder / "dataset.json", dump_json({"labels": labels, "description": "predictions, not annotations"}))
    files = [TABLE, "dataset.json", *sorted(name for name, *_ in rows.values() if (folder / name).is_file())]
    write_manifest(
        folder, kind="predictions", version=__version__, config={"rounds": len(rounds)}, inputs={}, files=files
    )
    return failed


def grids_of(pool: Pool, features: FeatureTable) -> dict[str, Grid]:
    """Return the grid on which each scan is handed over: its own, or the canonical one where it is converted."""
    return {case.case_id: _grid(case, features) for case in pool}


def _grid(case: Case, features: FeatureTable) -> Grid:
    if not all(map(linkable, case.channels)):
        raw = read_raw(Case(case.case_id, case.channels[:1]))
        spacing = np.linalg.norm(raw.affine[:3, :3], axis=0)
        x, y, z = raw.voxels.shape[1:]
        direction = (raw.affine[:3, :3] / spacing).ravel()
        return Grid(
            (x, y, z), tuple(map(float, spacing)), tuple(map(float, raw.affine[:3, 3])), tuple(map(float, direction))
        )
    kept = features.geometry_of(case.case_id)
    if kept is None:
        return read_grid(Path(case.path))
    return Grid(kept.shape, kept.spacing_mm, kept.origin_mm, kept.direction)


def check_class_order(source: ByOthers, labelled: Labelled) -> tuple[str, ...]:
    """Return the classes that no label map holds; look whether predictions of labelled scans mean the same classes.

    A class whose prediction fits another class's labels well, and its own worse, has another place there.

    Raises
    ------
    DataError : the order of the classes differs.
    """
    values = list(source.classes.values())
    counts = np.zeros((len(values) + 1, len(values) + 1))
    seen: set[int] = set()
    for case_id, label in labelled.labels.items():
        truth, grid = read_labels(Path(label))
        seen |= set(np.unique(truth).tolist())
        if case_id in source.files:
            counts += _overlap(source, case_id, laid_on(truth, grid, source.grids[case_id]), values)
    sums = counts.sum(axis=0)[None, :] + counts.sum(axis=1)[:, None]
    dice = np.divide(2 * counts, sums, out=np.zeros_like(counts), where=sums > 0)[1:, 1:]
    names = list(source.classes)
    for i, name in enumerate(names):
        best = int(dice[i].argmax())
        if best != i and dice[i, best] > _CLEARLY and dice[i, best] > dice[i, i]:
            raise DataError(
                f"the predictions have another order of classes than the labels: what is predicted as {name} fits the "
                f"labels of {names[best]} (Dice {dice[i, best]:.2f} against {dice[i, i]:.2f}). Bring the classes into "
                f"the order background, {', '.join(names)}"
            )
    return tuple(name for name, value in source.classes.items() if value not in seen)


def _overlap(source: ByOthers, case_id: str, truth: np.ndarray, values: list[int]) -> np.ndarray:
    """Return voxels predicted as class i (row) and labelled as class j, among labelled ones."""
    n = len(values) + 1
    maps = (read_probabilities(path, source.grids[case_id], n) for path in source.files[case_id])
    winner = np.mean(list(maps), axis=0).argmax(axis=0)
    place = np.full(max(int(truth.max()), *values) + 1, -1)
    place[[0, *values]] = np.arange(n)
    labelled = place[truth]
    known = labelled >= 0
    return np.bincount(winner[known] * n + labelled[known], minlength=n * n).reshape(n, n).astype(np.float64)
