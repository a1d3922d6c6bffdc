"""How sure a batch is: the same question under other seeds and other pools, and advice in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
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

ARBITRARY_OVERLAP = 1 / 3
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
    that held copies of one scan alone.
    """

    runs: int
    frequency: Mapping[str, float]
    seed_overlap: float
    pool_overlap: float
    random_overlap: float
    cluster_tendency: float
    tendency_chance: float
    impossible_pools: int
    advice: tuple[str, ...]


def stability(
    features: FeatureTable,
    selection: Selection,
    repeats: int = 10,
    *,
    constraints: Constraints | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Stability:
    """Repeat ``selection`` under ``repeats`` seeds and on ``repeats`` bootstrapped pools, and say what to make of it.

    A bootstrapped pool holds the distinct scans of N draws with replacement (about 63 %), and every scan that the
    constraints name; typicality is computed anew on it. ``progress`` is called with (runs done, runs in all).

    Raises
    ------
    UsageError : fewer than 2 repeats, or as :func:`firstscan.selection.select`.
    """
    if repeats < 2:
        raise UsageError(f"stability needs at least 2 repeats; found {repeats}")
    wanted, total = constraints or Constraints(), 2 * repeats
    rng = np.random.default_rng(selection.seed)
    seeds = rng.integers(2**32, size=repeats)
    by_seed, by_pool, held = [], [], []
    for done, seed in enumerate(seeds):
        run = select(features, selection.budget, selection.strategy, int(seed), constraints=constraints, **options)
        by_seed.append(frozenset(run.case_ids))
        _tell(progress, done + 1, total)
    for done in range(repeats):
        pool = _bootstrapped(features, wanted, rng)
        limits = replace(wanted, exclude=tuple(c for c in wanted.exclude if c in set(pool.case_ids)))
        budget = min(selection.budget, len(pool) - len(limits.labelled) - len(limits.exclude))
        if alike(pool.embeddings) and len(pool) > 1:  # only copies of one scan were drawn
            _tell(progress, repeats + done + 1, total)
            continue
        try:
            run = select(pool, budget, selection.strategy, selection.seed, constraints=limits, **options)
        except UsageError:
            if constraints is None:
                raise
        else:
            by_pool.append(frozenset(run.case_ids))
            held.append(frozenset(pool.case_ids))
        _tell(progress, repeats + done + 1, total)
    everything = frozenset(features.case_ids)
    picked = Counter(c for picks in (*by_seed, *by_pool) for c in picks)
    present = Counter(c for cases in (*([everything] * repeats), *held) for c in cases)
    usable = len(features) - len(wanted.exclude) - len(wanted.labelled)
    tendency, chance = cluster_tendency(features.embeddings, rng)
    result = Stability(
        runs=repeats + len(by_pool),
        frequency={c: picked[c] / present[c] for c in sorted(picked, key=lambda c: (-picked[c] / present[c], c))},
        seed_overlap=_mean_overlap(by_seed, [everything] * repeats),
        pool_overlap=_mean_overlap(by_pool, held),
        random_overlap=selection.budget / (2 * usable - selection.budget),
        cluster_tendency=tendency,
        tendency_chance=chance,
        impossible_pools=repeats - len(by_pool),
        advice=(),
    )
    return replace(result, advice=_advice(result, selection))


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


def _advice(found: Stability, selection: Selection) -> tuple[str, ...]:
    low, high = selection.diagnostics.get("dcr_interval", (-1.0, 1.0))
    undecided = low <= 0 <= high
    shapeless = found.cluster_tendency <= found.tendency_chance
    arbitrary = found.pool_overlap < ARBITRARY_OVERLAP
    lines = []
    if undecided and shapeless and arbitrary and selection.strategy != "random":
        lines.append(
            "Random would do here: hardness and typicality are unrelated, the pool shows no clusters, and another pool "
            "of the same kind would give other picks."
        )
    if "dcr_interval" in selection.diagnostics:
        span = f"the 95 % interval of DCR is {low:.2f} to {high:.2f}"
        if undecided:
            lines.append(f"Whether hard scans are typical or peripheral is open: {span}, which holds 0.")
        else:
            lines.append(f"Hard scans are {'typical' if low > 0 else 'peripheral'} in this pool: {span}.")
    lines.append(
        f"Another seed keeps {found.seed_overlap:.0%} of the picks, another pool of the same kind "
        f"{found.pool_overlap:.0%}; two random batches share {found.random_overlap:.0%}."
    )
    shape = "no clusters beyond chance" if shapeless else "clusters, which strata can follow"
    lines.append(
        f"The pool shows {shape} (neighbours {found.cluster_tendency:.2f} times closer than without structure, "
        f"{found.tendency_chance:.2f} by chance)."
    )
    return tuple(lines)
