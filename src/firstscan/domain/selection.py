"""The answer: which cases to annotate first, in order, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .display import pool_map, table
from .features import FeatureTable
from .slices import SlicePlan


@dataclass(frozen=True, slots=True)
class Pick:
    """One case to annotate.

    ``rank`` counts from 1; ``stratum`` is the k-means stratum or None where the strategy has none, as ``score`` is;
    ``typicality`` and ``uncertainty`` are None where the strategy does not use them and nobody filled them in, and
    ``uncertainty`` where it was not measured; ``reason`` is a plain sentence.
    """

    case_id: str
    rank: int
    stratum: int | None
    score: float | None
    typicality: float | None
    uncertainty: float | None
    reason: str


@dataclass(frozen=True)
class Selection:
    """Exactly ``budget`` distinct picks in order, with what is needed to explain and repeat them.

    ``strata`` and ``scores`` cover every case of the pool that the strategy saw (empty where it has none);
    ``options`` are the strategy's resolved parameters; ``diagnostics`` holds dcr, dcr_pvalue, dcr_interval,
    alpha_eff, gamma, … . ``slices`` says which slices of the picks to annotate, None where whole scans are.
    ``features`` is the table it was chosen from, where that is at hand; only a notebook's map needs it.
    """

    picks: tuple[Pick, ...]
    strategy: str
    seed: int
    budget: int
    diagnostics: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    strata: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    scores: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    slices: SlicePlan | None = None
    features: FeatureTable | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = self.case_ids
        if len(set(ids)) != len(ids):
            raise ValueError(f"a selection holds distinct cases; found {ids}")

    def __len__(self) -> int:
        return len(self.picks)

    def __iter__(self) -> Iterator[Pick]:
        return iter(self.picks)

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Ids of the picks, best first."""
        return tuple(p.case_id for p in self.picks)

    def _repr_html_(self) -> str:
        """Show the picks as a table, beside a map of the pool where the features are at hand."""
        n = len(self.features) if self.features is not None else len(self.strata)
        caption = f"Annotate first: {len(self):,}{f' of {n:,}' if n else ''} scans ({self.strategy}, seed {self.seed})"
        header = ("rank", "scan", "stratum", "typicality", "uncertainty", "why")
        rows = ((p.rank, p.case_id, p.stratum, p.typicality, p.uncertainty, p.reason) for p in self)
        shown = table(caption, header, rows, len(self))
        if self.features is None:
            return shown
        drawn = pool_map(self.features, {p.case_id: p.rank for p in self}, self.strata)
        side = "display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start"
        return f"<div style='{side}'><div>{shown}</div><div>{drawn}</div></div>"
