"""The answer: which cases to annotate first, in order, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Pick:
    """One case to annotate.

    ``rank`` counts from 1; ``stratum`` is the k-means stratum or None where the strategy has none; ``score``,
    ``typicality`` and ``uncertainty`` are None where the strategy does not use them; ``reason`` is a plain sentence.
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
    alpha_eff, gamma, … .
    """

    picks: tuple[Pick, ...]
    strategy: str
    seed: int
    budget: int
    diagnostics: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    strata: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    scores: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

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
