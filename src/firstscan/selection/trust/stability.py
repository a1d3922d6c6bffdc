"""How steady a choice is: the same question under other seeds and on other pools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from firstscan.domain.arrays import Embeddings
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.selection.checks import alike
from firstscan.selection.entry import select
from firstscan.selection.gating.constraints import Constraints
from firstscan.selection.geometry import nearest, standardise

TENDENCY_CASES = 2_000
TENDENCY_COMPONENTS = 10
TENDENCY_SHUFFLES = 20


@dataclass(frozen=True)
class Stability:
    """How often and how consistently scans are picked.

    ``frequency``: share of the runs that held a case in which it was picked, in [0, 1]. ``seed_overlap`` and
    ``pool_overlap``: mean Jaccard overlap between runs of other seeds, and between runs on bootstrapped pools (on the
    scans that both held). ``random_overlap``: what two random batches share. ``cluster_tendency``: distance to the
    nearest neighbour with the components shuffled, over the real one; 1 means no structure, ``tendency_chance`` is its
    95 % limit without structure. ``impossible_pools`` counts bootstraps that the constraints could not be met in, or
    that held copies of one scan alone; ``pool_runs`` the others. ``strategy`` and ``budget`` say what was repeated.
    """

    runs: int
    frequency: Mapping[str, float]
    seed_overlap: float
    pool_overlap: float
    random_overlap: float
    cluster_tendency: float
    tendency_chance: float
    impossible_pools: int
    pool_runs: int
    strategy: str
    budget: int


def stability(
    features: FeatureTable,
    selection: Selection,
    repeats: int = 10,
    *,
    constraints: Constraints | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Stability:
    """Repeat ``selection`` under ``repeats`` seeds and on ``repeats`` bootstrapped pools.

    A bootstrapped pool holds the distinct scans of N draws with replacement (about 63 %), and every scan that the
    constraints name; typicality is computed anew on it. ``progress`` is called with (runs done, runs in all);
    ``options`` are those of :func:`firstscan.selection.select`.

    Raises
    ------
    UsageError : fewer than 2 repeats, or as :func:`firstscan.selection.select`.
    """
    if repeats < 2:
        raise UsageError(f"stability needs at least 2 repeats; found {repeats}")
    wanted, total = constraints or Constraints(), 2 * repeats
    rng = np.random.default_rng(selection.seed)
    by_seed, by_pool, held = [], [], []
    for done, seed in enumerate(rng.integers(2**32, size=repeats)):
        run = select(features, selection.budget, selection.strategy, int(seed), constraints=constraints, **options)
        by_seed.append(frozenset(run.case_ids))
        _tell(progress, done + 1, total)
    for done in range(repeats):
        pool = _bootstrapped(features, wanted, rng)
        picks = _on_pool(pool, selection, constraints, options)
        if picks is not None:
            by_pool.append(picks)
            held.append(frozenset(pool.case_ids))
        _tell(progress, repeats + done + 1, total)
    everything = frozenset(features.case_ids)
    usable = len(features) - len(wanted.exclude) - len(wanted.labelled)
    tendency, chance = cluster_tendency(features.embeddings, rng)
    return Stability(
        runs=repeats + len(by_pool),
        frequency=_frequency([*by_seed, *by_pool], [everything] * repeats + held),
        seed_overlap=_mean_overlap(by_seed, [everything] * repeats),
        pool_overlap=_mean_overlap(by_pool, held),
        random_overlap=selection.budget / (2 * usable - selection.budget),
        cluster_tendency=tendency,
        tendency_chance=chance,
        impossible_pools=repeats - len(by_pool),
        pool_runs=len(by_pool),
        strategy=selection.strategy,
        budget=selection.budget,
    )


def _on_pool(
    pool: FeatureTable, selection: Selection, constraints: Constraints | None, options: Mapping[str, Any]
) -> frozenset[str] | None:
    """Return what is picked on a bootstrapped pool; None where constraints forbid it, or it holds copies alone."""
    wanted = constraints or Constraints()
    limits = replace(wanted, exclude=tuple(c for c in wanted.exclude if c in set(pool.case_ids)))
    budget = min(selection.budget, len(pool) - len(limits.labelled) - len(limits.exclude))
    if alike(pool.embeddings) and len(pool) > 1:
        return None
    try:
        run = select(pool, budget, selection.strategy, selection.seed, constraints=limits, **options)
    except UsageError:
        if constraints is None:
            raise
        return None
    return frozenset(run.case_ids)


def _frequency(picks: Sequence[frozenset[str]], pools: Sequence[frozenset[str]]) -> dict[str, float]:
    """Return the share of the runs that held a case in which it was picked, most often first."""
    picked = Counter(c for run in picks for c in run)
    present = Counter(c for pool in pools for c in pool)
    return {c: picked[c] / present[c] for c in sorted(picked, key=lambda c: (-picked[c] / present[c], c))}


def cluster_tendency(x: Embeddings, rng: np.random.Generator) -> tuple[float, float]:
    """Return how much closer nearest neighbours are than in a pool without structure, and the 95 % limit by chance.

    Structure is what shuffling each leading principal component by itself destroys; 1 means none.
    """
    from sklearn.decomposition import PCA

    rows = np.sort(rng.choice(len(x), min(len(x), TENDENCY_CASES), replace=False))
    sample = standardise(x[rows].astype(np.float64))
    if len(rows) < 3 or not sample.any():
        return 1.0, 1.0
    scores = PCA(min(TENDENCY_COMPONENTS, *sample.shape), svd_solver="full").fit_transform(sample)
    shuffled = [_nearest_distance(rng.permuted(scores, axis=0)) for _ in range(TENDENCY_SHUFFLES)]
    usual = float(np.mean(shuffled))
    if usual == 0:
        return 1.0, 1.0
    real = max(_nearest_distance(scores), 1e-12 * usual)
    return usual / real, usual / max(float(np.quantile(shuffled, 0.05)), 1e-12 * usual)


def _nearest_distance(scores: Embeddings) -> float:
    return float(nearest(scores, 1).distances.mean())


def _bootstrapped(features: FeatureTable, wanted: Constraints, rng: np.random.Generator) -> FeatureTable:
    drawn = rng.integers(len(features), size=len(features))
    named = {*wanted.include, *wanted.labelled}
    kept = np.union1d(drawn, [i for i, c in enumerate(features.case_ids) if c in named]).astype(np.intp)
    return replace(features.rows(kept), typicality=None)


def _mean_overlap(picks: list[frozenset[str]], held: list[frozenset[str]]) -> float:
    overlaps = []
    for (a, in_a), (b, in_b) in combinations(zip(picks, held, strict=True), 2):
        both = in_a & in_b
        union = (a | b) & both
        if union:
            overlaps.append(len(a & b & both) / len(union))
    return float(np.mean(overlaps)) if overlaps else 0.0


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
