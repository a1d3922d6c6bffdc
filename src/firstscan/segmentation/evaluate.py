"""Score label maps against label maps: Dice, HD95 in mm and surface Dice, through MONAI's metrics."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from firstscan.domain.arrays import LabelMap
from firstscan.domain.errors import DataError
from firstscan.domain.scores import Score
from firstscan.metrics.empty import diagonal_mm, empty_score

from .aligning import laid_on
from .dataset import ENDING
from .grids import read_labels
from .protocol import Progress, silent

TOLERANCE_MM = 1.0
"""Default tolerance of the normalised surface distance, stated with every score."""
_ROUNDING = 1e-4
"""Share of the tolerance that a distance may exceed it by: files keep spacings in float32, 1 mm may be 1.0000001."""


def score_case(
    case_id: str,
    prediction: LabelMap,
    label: LabelMap,
    spacing_mm: tuple[float, ...],
    classes: Mapping[str, int],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    ignore: int | None = None,
) -> tuple[Score, ...]:
    """Return one score a class for two label maps on one grid; empty masks follow the fixed rules.

    ``prediction`` and ``label`` (x, y, z) hold class values; ``spacing_mm`` is the voxel size along the same axes.
    Voxels whose label is ``ignore`` are left out: there the prediction counts as background, too.

    References
    ----------
    MONAI ``compute_hausdorff_distance`` (95th percentile, symmetric) and ``compute_surface_dice``.
    """
    diagonal = diagonal_mm(label.shape, spacing_mm)
    if ignore is not None:
        known = label != ignore
        prediction, label = np.where(known, prediction, 0), np.where(known, label, 0)
    scores = []
    for name, value in classes.items():
        ours, truth = prediction == value, label == value
        found = {"in_prediction": bool(ours.any()), "in_label": bool(truth.any())}
        score = empty_score(case_id, value, name, diagonal=diagonal, **found)
        if score is None:
            score = Score(case_id, value, name, *_compared(ours, truth, spacing_mm, tolerance_mm), status="ok")
        scores.append(score)
    return tuple(scores)


def _compared(
    ours: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float
) -> tuple[float, float, float]:
    """Return Dice, HD95 (mm) and surface Dice of two masks that both hold something."""
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.meandice import compute_dice
    from monai.metrics.surface_dice import compute_surface_dice

    box = _bounding_box(ours | truth)
    a, b = (torch.from_numpy(np.ascontiguousarray(m[box]))[None, None] for m in (ours, truth))
    spacing = list(spacing_mm)
    with warnings.catch_warnings():  # MONAI calls its own deprecated argument
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        dice = compute_dice(a, b)
        hd95 = compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=spacing)
        nsd = compute_surface_dice(a, b, [tolerance_mm * (1 + _ROUNDING)], include_background=True, spacing=spacing)
    return float(dice), float(hd95), float(nsd)


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds ``mask`` with a margin of one voxel, so that surfaces stay surfaces."""
    box = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append(slice(max(int(hit[0]) - 1, 0), int(hit[-1]) + 2))
    return tuple(box)


def score_files(
    case_id: str,
    prediction: Path,
    label: Path,
    classes: Mapping[str, int],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    ignore: int | None = None,
) -> tuple[Score, ...]:
    """Score one predicted file against its label file.

    Raises
    ------
    DataError : the prediction has another geometry, or either file holds values that are no class.
    """
    ours, our_grid = read_labels(prediction)
    truth, grid = read_labels(label)
    try:
        ours = laid_on(ours, our_grid, grid)
    except DataError as difference:
        raise DataError(
            f"{case_id}: the prediction has another geometry than the label map: {difference}; "
            "predict on the original scans, or resample the prediction to the label map's grid"
        ) from difference
    allowed = np.array([0, *classes.values()])
    for what, values in (("prediction", ours), ("label map", truth)):
        extra = np.setdiff1d(values, allowed if ignore is None or what == "prediction" else [*allowed, ignore])
        if extra.size:
            raise DataError(
                f"{case_id}: the {what} holds the values {extra[:5].tolist()}, which the class list "
                f"({', '.join(f'{n} = {v}' for n, v in classes.items())}) does not name"
            )
    return score_case(case_id, ours, truth, grid.spacing_mm, classes, tolerance_mm=tolerance_mm, ignore=ignore)


def score_folder(
    predictions: Path,
    labels: Mapping[str, Path],
    classes: Mapping[str, int],
    *,
    tolerance_mm: float = TOLERANCE_MM,
    ignore: int | None = None,
    progress: Progress = silent,
) -> tuple[Score, ...]:
    """Score ``<name>.nii.gz`` in ``predictions`` for every name in ``labels``, in that order.

    Raises
    ------
    DataError : a prediction is missing, or does not fit its label map; the message names the case.
    """
    missing = [name for name in labels if not (predictions / f"{name}{ENDING}").exists()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(labels)} predictions are missing in {predictions}: {', '.join(missing[:5])}"
        )
    scores: list[Score] = []
    for i, (name, label) in enumerate(labels.items()):
        scores.extend(
            score_files(name, predictions / f"{name}{ENDING}", label, classes, tolerance_mm=tolerance_mm, ignore=ignore)
        )
        progress(i + 1, len(labels), name)
    return tuple(scores)
