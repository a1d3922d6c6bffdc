"""Change a batch that annotators are working on: replace one pick, or add more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, SupportsIndex

import numpy as np

from firstscan.domain.arrays import PerCase
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Pick, Selection

from . import reasons
from .entry import select
from .gating.constraints import Constraints
from .gating.limits import Rows, read_limits
from .geometry import squared_distances_to, typicality
from .history import REPLACED, added, with_entry
from .pooling import canonical, check_ids, open_gate, rows_of
from .signals import best_first, composite_score

ROUNDS = "rounds"
"""The diagnostic that lists the rounds of a batch: rule, parameters, picks, and what the rule found."""
KEPT = frozenset({"replacements", "strata_numbers", ROUNDS})
"""Diagnostics that outlive an extension."""


def replace_pick(
    selection: Selection,
    features: FeatureTable,
    case_id: str,
    *,
    why: str = "unusable",
    constraints: Constraints | None = None,
) -> Selection:
    """Return the selection with ``case_id`` replaced by the best substitute of its stratum, at the same rank.

    In the stratum a selection of ``cscs`` ranks by its own score, others by their scores over the pool, and those
    without any by likeness to the scan that is replaced; where the stratum has nobody left, the whole pool is ranked.
    Scans replaced earlier do not come back. In a batch that was extended, where a limit in minutes was for each part
    alone, a substitute may take as long as the scan it replaces. ``diagnostics["replacements"]`` lists every
    replacement with ``why``.

    Raises
    ------
    UsageError : ``case_id`` is not among the picks, or the constraints leave no substitute.
    """
    old = next((p for p in selection if p.case_id == case_id), None)
    if old is None:
        raise UsageError(f"{case_id} is not among the picks: {', '.join(selection.case_ids[:5])}, …")
    log = list(selection.diagnostics.get("replacements", ()))
    gone = {case_id, *(entry["removed"] for entry in log)}
    wanted = _with_the_others_fixed(selection, features, constraints or Constraints(), case_id, gone)
    check_ids(features, wanted)
    table = canonical(features, wanted)
    labelled = rows_of(table, sorted(wanted.labelled))
    gate = open_gate(table, 1, read_limits(table, wanted, labelled, features), labelled, rows_of(table, ()))
    alike = [old.stratum is not None and selection.strata.get(c) == old.stratum for c in table.case_ids]
    members: Rows = np.flatnonzero(alike)
    dense = _density(selection, table)
    order, place = _preference(selection, features, table, case_id, members), "same stratum"
    row = gate.take_first(order, "")
    if row is None:
        order, place = _preference(selection, features, table, case_id, np.arange(len(table))), "whole pool"
        while row is None and gate.has_room():  # a second round where only twins of annotated scans are left
            row = gate.take_first(order, "")
    if row is None:
        raise UsageError(f"no scan is left that could replace {case_id}; loosen a constraint")
    substitute = table.case_ids[row]
    pick = Pick(
        case_id=substitute,
        rank=old.rank,
        stratum=selection.strata.get(substitute),
        score=selection.scores.get(substitute),
        typicality=None if old.typicality is None or dense is None else float(dense[row]),
        uncertainty=None if old.uncertainty is None or table.uncertainty is None else float(table.uncertainty[row]),
        reason=f"replaces {case_id} ({why}): best substitute of the {place}, of {reasons.scans(len(order))}",
    )
    entry = {"rank": old.rank, "removed": case_id, "why": why, "substitute": substitute, "from": place}
    changed = replace(
        selection,
        picks=tuple(pick if p.case_id == case_id else p for p in selection),
        diagnostics={**selection.diagnostics, "replacements": [*log, entry]},
    )
    return with_entry(changed, selection, {"action": REPLACED, **entry})


def extend(
    selection: Selection,
    features: FeatureTable,
    more: SupportsIndex,
    *,
    constraints: Constraints | None = None,
) -> Selection:
    """Return the selection with ``more`` picks added by the same strategy, seed and options; the earlier ones stay.

    The earlier picks count as labelled: in α and K, as covered strata, in groups and in quotas. A limit in minutes is
    for the added picks alone. The diagnostics are those of the extension.

    Raises
    ------
    UsageError : as :func:`firstscan.selection.select`.
    """
    fixed = as_labelled(selection, constraints or Constraints())
    more_of_it = select(
        features,
        more,
        selection.strategy,
        selection.seed,
        constraints=fixed,
        groups=groups_of(selection),
        **_options(selection, features),
    )
    kept = {k: v for k, v in selection.diagnostics.items() if k in KEPT}
    longer = replace(
        more_of_it,
        picks=(*selection.picks, *(replace(p, rank=p.rank + len(selection)) for p in more_of_it)),
        budget=selection.budget + more_of_it.budget,
        diagnostics={**more_of_it.diagnostics, **kept, "extended_from": len(selection)},
    )
    return added(longer, selection, len(fixed.labelled))


def as_labelled(selection: Selection, wanted: Constraints) -> Constraints:
    """Return the constraints for more picks: the earlier ones count as labelled, replaced ones do not come back."""
    removed = {entry["removed"] for entry in selection.diagnostics.get("replacements", ())}
    labelled = {*wanted.labelled, *selection.case_ids}
    return replace(
        wanted,
        labelled=tuple(sorted(labelled)),
        exclude=tuple(sorted({*wanted.exclude, *removed} - labelled)),
        include=tuple(c for c in wanted.include if c not in {*selection.case_ids, *removed}),
    )


def groups_of(selection: Selection) -> tuple[str, ...] | None:
    """Return the feature groups that a selection was asked for; None: the embedding, or those of its strategy."""
    told = selection.diagnostics
    return (*told["features"], *told.get("features_constant", ())) if "features" in told else None


def _options(selection: Selection, features: FeatureTable) -> Mapping[str, Any]:
    """Return the options of a selection; strata that were given are read back from it."""
    given = {c: selection.strata.get(c, 0) for c in features.case_ids}
    return {k: given if k == "strata" and v == "given" else v for k, v in selection.options.items()}


def _with_the_others_fixed(
    selection: Selection, features: FeatureTable, wanted: Constraints, case_id: str, gone: set[str]
) -> Constraints:
    others = [c for c in selection.case_ids if c != case_id]
    minutes = wanted.minutes
    if minutes is not None and wanted.cost_column is not None and wanted.cost_column in features.covariates:
        cost = dict(zip(features.case_ids, features.covariates[wanted.cost_column], strict=True))
        minutes -= sum(float(cost[c]) for c in others)
        if "extended_from" in selection.diagnostics:  # the limit was for each part alone: at least no more than before
            minutes = max(minutes, float(cost[case_id]))
    labelled = {*wanted.labelled, *others} - {case_id}  # what was replaced once and came back counts as there
    return replace(
        wanted,
        include=(),
        labelled=tuple(sorted(labelled)),
        exclude=tuple(sorted({*wanted.exclude, *gone} - labelled)),
        minutes=minutes,
    )


def _density(selection: Selection, table: FeatureTable) -> PerCase | None:
    """Return the typicality of every case as ``cscs`` counts it; None where no pick tells its own."""
    if table.typicality is not None or all(pick.typicality is None for pick in selection):
        return table.typicality
    return typicality(table.embeddings, int(selection.options.get("neighbours", 20))).values


def _preference(selection: Selection, features: FeatureTable, table: FeatureTable, case_id: str, rows: Rows) -> Rows:
    """Return ``rows``, best substitute first."""
    if not len(rows):
        return rows
    worth: np.ndarray
    dense = _density(selection, table)  # kept from one call to the next
    if dense is not None and table.uncertainty is not None and selection.strategy == "cscs":
        worth = composite_score(dense[rows], table.uncertainty[rows], selection.diagnostics["gamma"])
    elif selection.scores:
        worth = np.array([selection.scores.get(table.case_ids[r], -np.inf) for r in rows])
    else:
        target = features.embeddings[features.case_ids.index(case_id)]
        worth = -squared_distances_to(table.embeddings[rows], target)
    ordered: Rows = rows[best_first(worth)]
    return ordered
