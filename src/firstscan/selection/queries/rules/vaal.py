"""VAAL's question: which scans look least like the labelled ones?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from firstscan.domain.arrays import Embeddings, PerCase
from firstscan.selection.gating.gate import Gate
from firstscan.selection.geometry import standardise
from firstscan.selection.protocol import Candidates, Outcome
from firstscan.selection.queries.protocol import POOL_GROUPS, Query


@dataclass(frozen=True)
class Vaal(Query):
    """Train a classifier that tells labelled from unlabelled scans, and take what it is surest of being unlabelled.

    A pick counts as labelled from then on, and the classifier is trained anew. The first pick of a pool without any
    label is drawn at random.

    Parameters
    ----------
    penalty : C of the logistic regression; smaller is smoother.

    References
    ----------
    Sinha, Ebrahimi & Darrell 2019, ICCV. Deviations: a logistic regression on the features of the pool takes the place
    of a variational autoencoder trained against a discriminator, which few scans cannot feed; balanced classes; picks
    one by one, where VAAL takes the whole batch at once.
    """

    name: ClassVar[str] = "vaal"
    summary: ClassVar[str] = "the scans that a classifier of labelled against unlabelled finds least labelled (VAAL)"
    reference: ClassVar[str] = "Sinha et al. 2019, ICCV"
    groups: ClassVar[tuple[str, ...]] = POOL_GROUPS

    penalty: float = field(default=1.0, metadata={"above": 0})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        """Take the scan likeliest to be unlabelled, train again, until the gate is full."""
        x = standardise(candidates.embeddings.astype(np.float64))
        covered = [int(row) for row in candidates.covered]
        rng = np.random.default_rng(candidates.seed)
        first: PerCase | None = None
        while gate.has_room():
            if not covered:
                row = gate.take_first(rng.permutation(len(x)), "no scan is labelled yet: drawn at random")
            else:
                chance = unlikeness(x, covered, self.penalty)
                first = chance if first is None else first
                row = gate.take_best(chance, partial(_reason, chance))
            if row is not None:
                covered.append(row)
        return Outcome(scores=first)


def _reason(chance: PerCase, row: int) -> str:
    return f"{100 * chance[row]:.0f} % sure to differ from the labelled scans"


def unlikeness(x: Embeddings, labelled: list[int], penalty: float) -> PerCase:
    """Return each scan's probability of being unlabelled (case,), by logistic regression; ½ where all are labelled."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    unlabelled = np.ones(len(x), dtype=bool)
    unlabelled[labelled] = False
    if not unlabelled.any():
        return np.full(len(x), 0.5)
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=1000)
    with threadpool_limits(1):
        model.fit(x, unlabelled)
    chance: PerCase = model.predict_proba(x)[:, 1].astype(np.float64)
    return chance
