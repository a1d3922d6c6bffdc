"""A batch goes on: more picks by a query rule, the earlier ones stay and count as labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.selection.amend import ROUNDS, as_labelled
from firstscan.selection.entry import choose
from firstscan.selection.gating.constraints import Constraints
from firstscan.selection.history import ROUND, with_entry

from .measures import CaseMeasures
from .registry import DEFAULT_RULE, asks_a_model, rule_class


def next_round(
    selection: Selection,
    features: FeatureTable,
    measures: Mapping[str, CaseMeasures],
    more: SupportsIndex,
    rule: str = DEFAULT_RULE,
    *,
    seed: int = 42,
    constraints: Constraints | None = None,
    groups: Sequence[str] | None = None,
    **options: Any,
) -> Selection:
    """Return the selection with ``more`` picks added by ``rule``.

    The selection keeps its strategy, strata and scores: what is extended or replaced later follows those. A new pick
    has the score of the rule. ``diagnostics["rounds"]`` tells of each round.

    Parameters
    ----------
    measures : what is predicted, by case id; every scan that can be picked needs an entry, others are ignored. Rules
        that ask no model, such as random, do without.
    seed, options : of the rule.  groups : as in :func:`firstscan.selection.select`.

    Raises
    ------
    UsageError : an unknown rule or option, a scan without a prediction, fewer scans left than asked for.
    """
    kind = rule_class(rule)
    wanted = as_labelled(selection, constraints or Constraints())
    closed = {*wanted.labelled, *wanted.exclude}
    missing = [c for c in features.case_ids if c not in closed and c not in measures]
    if missing and asks_a_model(kind):
        raise UsageError(
            f"{len(missing)} scan(s) that could be picked have no prediction: {', '.join(missing[:5])}; predict them, "
            "or exclude them"
        )
    shown = {c: measures[c] for c in features.case_ids if c in measures and c not in closed}
    added = choose(
        kind, features, more, rule, seed, constraints=wanted, groups=groups, options=options, measures=shown or None
    )
    entry = {
        "rule": rule,
        "options": dict(added.options),
        "seed": seed,
        "picks": list(added.case_ids),
        "covered": len(wanted.labelled),
        "predicted": len(shown),
        "members": min((m.members for m in shown.values()), default=0),
        "nothing_predicted": sorted(c for c, m in shown.items() if m.empty),
        "diagnostics": dict(added.diagnostics),
    }
    picks = (
        replace(p, rank=p.rank + len(selection), stratum=selection.strata.get(p.case_id), uncertainty=None)
        for p in added
    )
    rounds = [*selection.diagnostics.get(ROUNDS, ()), entry]
    longer = replace(
        selection,
        picks=(*selection.picks, *picks),
        budget=selection.budget + added.budget,
        diagnostics={**selection.diagnostics, ROUNDS: rounds},
        features=features,
    )
    return with_entry(longer, selection, {"action": ROUND, "rule": rule, "picks": list(added.case_ids)})
