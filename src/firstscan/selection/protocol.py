"""What a strategy is given, and what it gives back: arrays only, never ids, paths or labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from firstscan.domain.arrays import Embeddings, Int, PerCase, Strata
from firstscan.domain.features import EMBEDDING

from .gating.gate import Gate
from .geometry import Density, typicality
from .parameters import check_parameters
from .queries.measures import Measures


@dataclass(frozen=True, eq=False)
class Candidates:
    """The pool as a strategy sees it, in canonical row order (sorted by case id).

    Parameters
    ----------
    embeddings : (case, dim) float, finite.
    uncertainty : (case,) float, finite; NaN where none was measured, which only strategies that need none ever see.
    budget : new picks wanted, 1 … case; picks that were fixed beforehand are among them.
    seed : handed to k-means and to every other draw, as the published implementations do.
    covered : (covered,) rows that are labelled already or fixed as picks.
    labelled : how many of ``covered`` are labelled already; they enlarge the effective budget.
    stored_typicality : (case,) float, or None when it has still to be computed.
    sizes : (case,) foreground size of each scan, or None when it is not known.
    measures : what a model predicts of each scan, or None before there is one; only query rules ask for it.
    """

    embeddings: Embeddings
    uncertainty: PerCase
    budget: int
    seed: int
    covered: Int[np.ndarray, " covered"] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    labelled: int = 0
    stored_typicality: PerCase | None = None
    sizes: PerCase | None = None
    measures: Measures | None = None

    def __len__(self) -> int:
        return len(self.uncertainty)

    @property
    def annotations(self) -> int:
        """Annotated cases once the picks are done: labelled already plus the budget."""
        return self.budget + self.labelled

    def density(self, neighbours: int) -> Density:
        """Return the stored typicality, or compute it over the whole pool with ``neighbours`` neighbours."""
        if self.stored_typicality is not None:
            return Density(self.stored_typicality.astype(np.float64), neighbours=None, exact=True, recall=None)
        return typicality(self.embeddings, neighbours)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a strategy says besides its picks, which the gate holds.

    ``strata`` (case,) from 0, ``scores`` (case,) higher is better, ``typicality`` (case,) as used; each None where the
    strategy has none. ``diagnostics`` is JSON-serialisable.
    """

    strata: Strata | None = None
    scores: PerCase | None = None
    typicality: PerCase | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)


class Strategy(ABC):
    """Base of every strategy: a frozen dataclass whose fields are its parameters.

    ``name`` is what users type, ``summary`` one line on what it does, ``reference`` the paper it follows, and
    ``uses_uncertainty`` whether U decides anything; ``groups`` are the feature groups that it is shown as embeddings
    unless others are asked for; ``uses_embeddings`` is False where they decide nothing. Annotations, and ``least``,
    ``above`` and ``most`` in a field's metadata, say what a parameter may be. A call takes picks through ``gate`` until
    it is full.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    uses_uncertainty: ClassVar[bool]
    uses_embeddings: ClassVar[bool] = True
    groups: ClassVar[tuple[str, ...]] = (EMBEDDING,)

    def __post_init__(self) -> None:
        """Raise UsageError where a parameter is not what its field says; who overrides this calls it, too."""
        check_parameters(self)

    def reads_embeddings(self, typicality_stored: bool) -> bool:  # noqa: ARG002 - for who overrides it
        """Return whether embeddings decide anything with these parameters; the table may hold typicality already."""
        return self.uses_embeddings

    def needs_uncertainty(self) -> bool:
        """Return whether U decides anything with these parameters: then a table without it is refused."""
        return self.uses_uncertainty

    @abstractmethod
    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Fill ``gate`` with picks, best first."""
