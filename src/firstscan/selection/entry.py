"""The public entry: a feature table and a budget in, a ranked and explained batch out."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, SupportsIndex

import numpy as np

from firstscan.domain.errors import UsageError
from firstscan.domain.features import EMBEDDING, FeatureTable
from firstscan.domain.selection import Pick, Selection

from .checks import check_differences, check_range, check_uncertainty, numbered
from .gating.constraints import Constraints
from .gating.gate import Taken
from .gating.limits import Limits, numbers, read_limits
from .groups import DEFAULT, combine
from .pooling import canonical, check_ids, open_gate, rows_of
from .protocol import Candidates, Outcome, Strategy
from .queries.measures import CaseMeasures, gathered
from .registry import DEFAULT_STRATEGY, strategy_class

SIZE_COLUMNS = ("foreground_ml", "foreground_voxels", "voxel_count")


def select(
    features: FeatureTable,
    budget: SupportsIndex | None,
    strategy: str = DEFAULT_STRATEGY,
    seed: SupportsIndex = 42,
    *,
    constraints: Constraints | None = None,
    groups: Sequence[str] | None = None,
    **options: Any,
) -> Selection:
    """Choose the ``budget`` cases of ``features`` to annotate first, best first, each with a reason.

    Parameters
    ----------
    features : the pool; the order of its rows does not matter.
    budget : scans to pick, 1 … usable cases; None with a budget in minutes: as many as fit at the mean cost.
    strategy : one of :func:`firstscan.selection.strategies`.
    seed : 0 … 2³²−1; the same seed gives the same picks.
    constraints : exclusions, fixed picks, groups, quotas, annotation time; see :class:`Constraints`.
    groups : feature groups that the strategy sees, ``embedding`` among them; None: those that it asks for, as far as
        the table holds them.
    options : parameters of the strategy; a value per case (``strata``) is a mapping from case id or a sequence in the
        order of the table's rows.

    Raises
    ------
    UsageError : a budget out of range, an unknown strategy or option, constraints that cannot hold together.
    """
    return choose(
        strategy_class(strategy),
        features,
        budget,
        strategy,
        seed,
        constraints=constraints,
        groups=groups,
        options=options,
    )


def choose(
    kind: type[Strategy],
    features: FeatureTable,
    budget: SupportsIndex | None,
    strategy: str,
    seed: SupportsIndex,
    *,
    constraints: Constraints | None,
    groups: Sequence[str] | None,
    options: Mapping[str, Any],
    measures: Mapping[str, CaseMeasures] | None = None,
) -> Selection:
    """Choose by a strategy of class ``kind``, called ``strategy``; see :func:`select`.

    ``measures`` (case id → what a model predicts of it) are shown to query rules; None before there is a model.
    """
    wanted, seed = constraints or Constraints(), _integer("seed", seed)
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed must lie in 0 … 4294967295; found {seed}")
    check_ids(features, wanted)
    table = canonical(features, wanted)
    labelled = rows_of(table, sorted(wanted.labelled))
    check_range(table)
    limits = read_limits(table, wanted, labelled, features)
    count = _budget(budget, limits, len(table) - len(labelled))
    chooser, new_numbers = build_strategy(kind, strategy, options, features, table)
    check_uncertainty(strategy, needed=chooser.needs_uncertainty(), measured=table.uncertainty is not None)
    seen = combine(table, shown_groups(type(chooser), table, groups))
    if chooser.reads_embeddings(typicality_stored=table.typicality is not None and seen.used == DEFAULT):
        check_differences(strategy, seen.table.embeddings, count, len(table) - len(labelled))
    gate = open_gate(table, count, limits, labelled, rows_of(table, wanted.include))
    candidates = Candidates(
        embeddings=seen.table.embeddings,
        uncertainty=np.full(len(table), np.nan) if table.uncertainty is None else table.uncertainty,
        budget=count,
        seed=seed,
        covered=np.concatenate([labelled, np.array(gate.rows, dtype=np.intp)]),
        labelled=len(labelled),
        stored_typicality=table.typicality if seen.used == DEFAULT else None,
        sizes=next((numbers(table.covariates[c]) for c in SIZE_COLUMNS if c in table.covariates), None),
        measures=None if measures is None else gathered(table.case_ids, measures),
    )
    outcome = chooser(candidates, gate)
    if len(gate.taken) != count:
        raise UsageError(f"strategy {strategy!r} picked {len(gate.taken)} of {count} scans; report this to its authors")
    chosen = _selection(strategy, chooser, table, gate.taken, outcome, seed=seed)
    if seen.used != DEFAULT:
        told = {"features": list(seen.used), "features_constant": list(seen.constant)}
        chosen = replace(chosen, diagnostics={**chosen.diagnostics, **told})
    if new_numbers:
        chosen = replace(chosen, diagnostics={**chosen.diagnostics, **new_numbers})
    return replace(chosen, features=features)


def shown_groups(kind: type[Strategy], table: FeatureTable, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return the feature groups that a strategy is shown: those asked for, or its own as far as the table has them."""
    if asked:
        return tuple(asked)
    own = tuple(name for name in kind.groups if name == EMBEDDING or name in table.groups)
    return own or DEFAULT


def build_strategy(
    kind: type[Strategy], name: str, options: Mapping[str, Any], features: FeatureTable, table: FeatureTable
) -> tuple[Strategy, dict[str, list[int]]]:
    """Return the strategy ``kind``, called ``name``, with ``options``.

    Per-case options are brought from ``features``' rows to ``table``'s.

    Strata with larger numbers than there are cases are numbered anew, once for all strategies; which numbers they had
    is returned, too, in the order of the new ones.

    Raises
    ------
    UsageError : an option that the strategy does not have, or a value that it refuses.
    """
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(options) - set(known))
    if unknown:
        valid = f"valid options: {', '.join(known)}" if known else "it has no options"
        raise UsageError(f"strategy {name!r} has no option {', '.join(map(repr, unknown))}; {valid}")
    values: dict[str, Any] = {}
    new_numbers: dict[str, list[int]] = {}
    for option, value in options.items():
        if known[option].metadata.get("per_case") and value is not None:
            values[option], before = numbered(_per_case(option, value, features, table))
            if before is not None:
                new_numbers[f"{option}_numbers"] = before.tolist()
        else:
            values[option] = tuple(value) if isinstance(value, list) else value
    return kind(**values), new_numbers


def _per_case(
    option: str, value: Mapping[str, Any] | Sequence[Any] | np.ndarray, features: FeatureTable, table: FeatureTable
) -> np.ndarray:
    if not isinstance(value, Mapping):
        if len(value) != len(features):
            raise UsageError(f"option {option!r} has {len(value)} values for {len(features)} cases")
        value = dict(zip(features.case_ids, value, strict=True))
    missing = [c for c in table.case_ids if c not in value]
    if missing:
        raise UsageError(f"option {option!r} has no value for {len(missing)} case(s): {', '.join(missing[:5])}")
    codes = np.asarray([value[c] for c in table.case_ids])
    if codes.dtype.kind not in "iu" or codes.min() < 0:
        raise UsageError(f"option {option!r} must hold whole numbers from 0, one a case")
    return codes


def _integer(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise UsageError(f"{name} must be a whole number; found {value!r}") from error


def _budget(budget: SupportsIndex | None, limits: Limits, usable: int) -> int:
    if budget is None:
        if not np.isfinite(limits.minutes):
            raise UsageError("budget must be a number of scans, or None together with a budget in minutes")
        budget = min(usable, int(limits.minutes // limits.cost.mean()))
        if budget < 1:
            raise UsageError(f"{limits.minutes:g} minutes are less than one scan takes on average; raise the budget")
    count = _integer("budget", budget)
    if not 1 <= count <= usable:
        raise UsageError(f"budget must lie in 1 … {usable} (the usable cases of the pool); found {count}")
    return count


def _selection(
    name: str, chooser: Strategy, table: FeatureTable, picks: Sequence[Taken], outcome: Outcome, *, seed: int
) -> Selection:
    typicality = outcome.typicality
    explained = tuple(
        Pick(
            case_id=table.case_ids[t.row],
            rank=rank,
            stratum=t.stratum if t.stratum is not None or outcome.strata is None else int(outcome.strata[t.row]),
            score=t.score if t.score is not None or outcome.scores is None else float(outcome.scores[t.row]),
            typicality=None if typicality is None else float(typicality[t.row]),
            uncertainty=float(table.uncertainty[t.row])
            if chooser.uses_uncertainty and table.uncertainty is not None
            else None,
            reason=t.reason,
        )
        for rank, t in enumerate(picks, start=1)
    )
    return Selection(
        picks=explained,
        strategy=name,
        seed=seed,
        budget=len(picks),
        diagnostics=dict(outcome.diagnostics),
        options=_plain_options(chooser),
        strata=_by_id(table, outcome.strata),
        scores=_by_id(table, outcome.scores),
    )


def _plain_options(chooser: Strategy) -> dict[str, Any]:
    values = {f.name: getattr(chooser, f.name) for f in fields(chooser)}  # type: ignore[arg-type]
    return {
        k: "given" if isinstance(v, np.ndarray) else list(v) if isinstance(v, tuple) else v for k, v in values.items()
    }


def _by_id(table: FeatureTable, values: np.ndarray | None) -> dict[str, Any]:
    return {} if values is None else dict(zip(table.case_ids, values.tolist(), strict=True))
