"""The learning curve so far: small networks trained on parts of the labelled scans, scored on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from firstscan.domain.errors import DataError
from firstscan.handoff.names import read_names
from firstscan.handoff.nnunet import NAMES
from firstscan.segmentation.dataset import RawCase, read_dataset
from firstscan.segmentation.grids import read_channels, read_labels
from firstscan.segmentation.registry import segmenter
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.collecting.corrections import corrected_before
from firstscan.store import atomic_write, dump_json, identity, load_json

from .ensemble import Labelled, labelled_dataset, train_networks
from .next_config import NextConfig
from .sources import Standing, device_of

FOLDS = 4
SCORED = 1
"""Raised whenever a score changes: those that were kept are then computed again."""
LEAST = 8
"""Labelled scans from which a curve is measured: two a fold are then held out, and three and six trained on."""


@dataclass(frozen=True)
class Part:
    """One training of the curve: the scans it learns from, and those it is scored on."""

    fold: int
    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def parts(case_ids: Sequence[str], seed: int) -> tuple[Part, ...]:
    """Return two trainings for each fold: on half of the scans that are not held out, and on all of them."""
    drawn = [sorted(case_ids)[i] for i in np.random.default_rng(seed).permutation(len(case_ids))]
    made = []
    for fold in range(FOLDS):
        held_out = tuple(sorted(drawn[fold::FOLDS]))
        rest = [i for i in drawn if i not in held_out]
        made += [Part(fold, tuple(sorted(rest[:n])), held_out) for n in (len(rest) // 2, len(rest))]
    return tuple(made)


def measured_curve(at: Standing, unet: Unet, seed: int) -> dict[str, Any]:
    """Return the curve as plain data: ``rows`` with fold, scans trained on, and mean Dice of the held-out scans.

    Where fewer than :data:`LEAST` scans are labelled, or a part of them cannot be trained on, nothing is measured, and
    ``why`` says so. Networks and scores are kept in ``work/models``. A class counts in a scan where the label or the
    prediction holds it.
    """
    ids, contents = tuple(at.labelled.labels), at.contents
    if len(ids) < LEAST:
        return {"labelled": len(ids), "why": f"it takes {LEAST} labelled scans, and there are {len(ids)}"}
    planned = parts(ids, seed)
    try:
        dataset = labelled_dataset(at.run, at.labelled, at.pool, contents, unet)[1]
        wanted = []
        for part in planned:
            own = _only(at.labelled, part.trained)
            folder, material, _ = labelled_dataset(at.run, own, at.pool, contents, unet)
            wanted.append((material, folder / f"seed-{seed}", seed))
        train_networks(at.run, unet, wanted, "Training for the learning curve")
    except DataError as error:
        return {"labelled": len(ids), "why": f"a part of the labelled scans cannot be trained on: {error}"}
    names = read_names(dataset / NAMES)
    cases = {names[case.name]: case for case in read_dataset(dataset).cases}
    items = []
    for part, (_, model, _) in zip(planned, wanted, strict=True):
        labels = [at.labelled.hashes[i] for i in part.held_out]
        kept = model / f"scores-{identity(SCORED, labels)}.json"
        held = tuple(cases[i] for i in part.held_out)
        items.append((f"fold {part.fold + 1}", (unet, model, held, at.labelled.ignore, kept)))
    rows = [
        {"fold": part.fold, "scans": len(part.trained), "dice": dice}
        for part, dice in zip(planned, _scored(at, items), strict=True)
    ]
    return {"labelled": len(ids), "rows": rows}


def so_far(at: Standing, config: NextConfig, device: str) -> dict[str, Any]:
    """Return what is known of the gain of another round: the curve where it is asked for, and what was corrected."""
    told: dict[str, Any] = {}
    if config.curve:
        steps = {} if config.steps is None else {"iterations": config.steps}
        unet = segmenter("unet", {"device": device_of(device), **steps})
        assert isinstance(unet, Unet)
        told["curve"] = measured_curve(at, unet, int(identity(config.seed, "curve"), 16) % 2**31)
    if (corrected := corrected_before(config.labels)) is not None:
        told["corrections"] = corrected
    return told


def _only(labelled: Labelled, ids: tuple[str, ...]) -> Labelled:
    labels = {i: labelled.labels[i] for i in ids}
    return replace(labelled, labels=labels, hashes={i: labelled.hashes[i] for i in ids})


def _scored(at: Standing, items: Sequence[tuple[str, Any]]) -> list[float | None]:
    """Return the mean Dice of each training; None where no held-out scan holds anything."""
    found: list[float | None] = []
    missing = [(name, item) for name, item in items if not item[-1].is_file()]
    if missing:
        with at.run.stage("Scoring the learning curve", len(missing)) as progress:
            for name, result in at.run.cases(_score, missing):
                if isinstance(result, Exception):
                    raise result
                progress.advance(1, name)
    for _, item in items:
        scores = [s for s in load_json(item[-1]) if s is not None]
        found.append(float(np.mean(scores)) if scores else None)
    return found


def _score(item: tuple[Unet, Path, tuple[RawCase, ...], int | None, Path]) -> None:
    from firstscan.segmentation.unet.members import UnetMembers

    settings, model, held, ignore, kept = item
    members = UnetMembers([model], settings)
    found: list[float | None] = []
    for case in held:
        voxels, grid = read_channels(case.images)
        predicted, truth = members.labels(voxels, grid.spacing_mm), read_labels(case.label)[0]
        known = np.ones(truth.shape, dtype=bool) if ignore is None else truth != ignore
        scores = [_dice((predicted == v) & known, (truth == v) & known) for v in members.classes.values()]
        there = [s for s in scores if s is not None]
        found.append(float(np.mean(there)) if there else None)
    atomic_write(kept, dump_json(found))


def _dice(ours: np.ndarray, truth: np.ndarray) -> float | None:
    both = int(ours.sum()) + int(truth.sum())
    return 2 * int((ours & truth).sum()) / both if both else None
