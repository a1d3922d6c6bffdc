"""Crops → feature groups without a network: preset ``instant``. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.volume import Crop
from firstscan.imaging.measures import SHAPE_NUMBERS, TEXTURE_NUMBERS, appearance, shape, texture
from firstscan.selection.groups import combine
from firstscan.steps.running.config import INSTANT, INSTANT_GROUPS
from firstscan.steps.running.run import Run
from firstscan.store import ShardStore, identity

from .check import Checked
from .covariates import covariates
from .standardise import CropFile, CropFiles

SIZE = 48
"""Voxels along each side of a crop: those of preset ``fast``, so that the two share crops."""


def measure_groups(crops: CropFiles, checked: Checked, run: Run) -> FeatureTable:
    """Measure appearance, texture and shape of every case that has not been measured; there is no uncertainty.

    The embedding is these groups joined, see :func:`with_joined`.
    """
    store = ShardStore(run.workspace.folder("features", identity(__version__, INSTANT, SIZE, INSTANT_GROUPS)))
    keys = [crops.keys[i] for i in crops.case_ids]
    missing = store.locate(keys, repair=True).missing
    first = {keys[i]: i for i in reversed(missing)}  # scans of equal content are measured once
    todo = [(crops.case_ids[i], crops.file(i)) for i in sorted(first.values())]
    with run.stage("Measuring scans", len(keys)) as progress, store.writer() as writer:
        progress.advance(len(keys) - len(todo))
        for case_id, found in run.cases(_measure, todo, shared=True):
            if isinstance(found, Exception):
                raise found
            parts = {**found, "shape": shape(checked.summaries[case_id])}
            wide = np.concatenate([parts[name] for name in INSTANT_GROUPS])
            writer.append(case_id, crops.keys[case_id], wide, float("nan"))
            progress.advance()
    wide = np.concatenate([values for values, _ in store.locate(keys).read()])
    return with_joined(
        FeatureTable(
            crops.case_ids,
            np.zeros((len(keys), 1)),
            None,
            covariates=covariates(checked),
            groups=_parted(wide, channels=len(crops.channels)),
            geometry=np.array([checked.summaries[i].geometry for i in crops.case_ids], dtype=np.float64),
        )
    )


def of_crop(crop: Crop) -> dict[str, np.ndarray]:
    """Return the feature groups of a crop that need no network, by name."""
    return {"appearance": appearance(crop), "texture": texture(crop)}


def with_joined(table: FeatureTable) -> FeatureTable:
    """Return the table with its groups, reduced and scaled alike over the pool, as its embeddings.

    Where all scans are the same the embeddings are, too, which a selection refuses.
    """
    blank = replace(table, embeddings=np.zeros((len(table), 1)))
    try:
        joined = combine(blank, INSTANT_GROUPS).table.embeddings
    except UsageError:  # nothing tells the scans apart
        return blank
    return replace(table, embeddings=joined.astype(np.float32))


def only(table: FeatureTable, case_ids: Collection[str]) -> FeatureTable:
    """Return those of ``case_ids``, with embeddings that depend on no other scan."""
    wanted = frozenset(case_ids)
    return table if wanted.issuperset(table.case_ids) else with_joined(table.only(wanted))


def _measure(file: CropFile) -> dict[str, np.ndarray]:
    return of_crop(file.read())


def _parted(wide: np.ndarray, *, channels: int) -> dict[str, np.ndarray]:
    """Return the columns of each group; appearance takes what the others leave."""
    texture_numbers = channels * TEXTURE_NUMBERS
    cuts = [wide.shape[1] - SHAPE_NUMBERS - texture_numbers, wide.shape[1] - SHAPE_NUMBERS]
    return dict(zip(INSTANT_GROUPS, map(np.ascontiguousarray, np.split(wide, cuts, axis=1)), strict=True))
