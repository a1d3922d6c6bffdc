"""CSCS: one scan a stratum, hard or typical as the pool calls for (METHOD §2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from firstscan.domain.arrays import PerCase, Strata
from firstscan.domain.errors import UsageError
from firstscan.selection import reasons
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import kmeans, standardise
from firstscan.selection.protocol import Candidates, Outcome, Strategy
from firstscan.selection.signals import best_first, composite_score, effective_budget, pacing, spearman
from firstscan.selection.stratified import Members, fill, serve


@dataclass(frozen=True, eq=False)
class _Ranked:
    """What the strata are served by; all (case,)."""

    strata: Strata
    typicality: PerCase
    uncertainty: PerCase
    scores: PerCase
    gamma: float


@dataclass(frozen=True)
class Cscs(Strategy):
    """Curriculum-stratified cold-start selection.

    Strata are served largest first, so that whoever stops early has covered as much of the pool as possible; places
    left by thin, covered or exhausted strata follow in the order of the score over the whole pool.

    Parameters
    ----------
    thin_strata : ``fill`` skips strata of fewer than ``min_stratum`` scans and fills their places from the whole pool
        (as published); ``score`` treats them like any other.
    min_stratum : scans a stratum needs not to be thin.
    neighbours : for typicality, where the table holds none; capped at N−1.
    gamma_bounds : limits of γ, within [0, 1].
    restarts : of k-means++.
    strata : given stratum of every case; None computes K = budget strata by k-means on standardised embeddings.

    References
    ----------
    Hattat et al. 2026, arXiv 2606.20765. Deviations: already labelled scans count in α and in K, and the strata that
    hold one are covered; exactly B distinct scans even where strata are empty.
    """

    name: ClassVar[str] = "cscs"
    summary: ClassVar[str] = "one scan a stratum, hard or typical as the pool calls for (the paper's method)"
    reference: ClassVar[str] = "Hattat et al. 2026, arXiv 2606.20765"
    uses_uncertainty: ClassVar[bool] = True

    thin_strata: Literal["fill", "score"] = "fill"
    min_stratum: int = field(default=3, metadata={"least": 1})
    neighbours: int = field(default=20, metadata={"least": 1})
    gamma_bounds: tuple[float, float] = (0.3, 0.7)
    restarts: int = field(default=10, metadata={"least": 1})
    strata: Strata | None = field(default=None, metadata={"per_case": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.gamma_bounds
        if not 0 <= low <= high <= 1:
            raise UsageError(f"gamma_bounds must rise within [0, 1]; found {self.gamma_bounds}")

    def reads_embeddings(self, typicality_stored: bool) -> bool:
        """Return False where both strata and typicality are given."""
        return self.strata is None or not typicality_stored

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the best-scored scan of each stratum, largest stratum first, then fill from the whole pool."""
        density = candidates.density(self.neighbours)
        typicality, uncertainty = density.values, candidates.uncertainty.astype(np.float64)
        dcr = spearman(uncertainty, typicality, np.random.default_rng(candidates.seed))
        alpha_eff = effective_budget(candidates.annotations, len(candidates))
        gamma = pacing(dcr.rho, alpha_eff, self.gamma_bounds)
        strata, facts = self._strata(candidates)
        scores = composite_score(typicality, uncertainty, gamma)
        thin = self._pick_by_stratum(candidates, gate, _Ranked(strata, typicality, uncertainty, scores, gamma))
        sizes = np.bincount(strata, minlength=max(thin, default=0) + 1)
        fill(gate, strata, scores, [reasons.for_thin_stratum(int(sizes[s])) for s in thin])
        diagnostics: dict[str, Any] = {
            "dcr": dcr.rho,
            "dcr_pvalue": dcr.pvalue,
            "dcr_interval": list(dcr.interval),
            "dcr_interval_method": dcr.method,
            "alpha_eff": alpha_eff,
            "gamma": gamma,
            "thin_strata": sorted(thin),
            "n_strata": candidates.annotations if self.strata is None else int(strata.max()) + 1,
            "typicality_neighbours": density.neighbours,
            "neighbours_exact": density.exact,
            "neighbour_recall": density.recall,
            **facts,
        }
        return Outcome(strata, scores, typicality, diagnostics)

    def _strata(self, candidates: Candidates) -> tuple[Strata, dict[str, Any]]:
        if self.strata is not None:
            return self.strata, {"strata_method": "given"}
        wanted = min(candidates.annotations, len(candidates))
        clusters = kmeans(standardise(candidates.embeddings), wanted, candidates.seed, self.restarts)
        return clusters.labels, {"strata_method": clusters.method, "inertia": clusters.inertia}

    def _pick_by_stratum(self, candidates: Candidates, gate: Gate, ranked: _Ranked) -> list[int]:
        """Serve every stratum that is neither thin nor covered; return the thin ones, largest first."""
        sizes = np.bincount(ranked.strata, minlength=candidates.annotations if self.strata is None else 0)
        order = np.argsort(-sizes, kind="stable")
        thin = [int(s) for s in order if sizes[s] < self.min_stratum] if self.thin_strata == "fill" else []

        def rank(stratum: int, members: Members) -> Iterator[tuple[int, str]]:
            typicality, uncertainty = ranked.typicality[members], ranked.uncertainty[members]
            for position in best_first(composite_score(typicality, uncertainty, ranked.gamma)):
                yield int(members[position]), reasons.in_stratum(typicality, uncertainty, int(position), stratum)

        serve(gate, ranked.strata, {*thin, *ranked.strata[candidates.covered].tolist()}, rank, ranked.scores)
        return thin
