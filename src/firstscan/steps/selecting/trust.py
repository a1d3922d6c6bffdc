"""How far a batch can be trusted: what its signals follow, and whether other runs would pick the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from firstscan.domain.arrays import PerCase
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.execution import Progress, Silent
from firstscan.report import SignalCorrelation, Stability
from firstscan.selection import Association, Constraints, remedy_of, signal_audit, stability
from firstscan.selection.geometry import typicality
from firstscan.selection.signals import effective_budget, pacing, spearman
from firstscan.selection.trust.confounds import STATED_SHARE, is_flagged
from firstscan.selection.trust.dcr import FEWEST, PERMUTED, permutation_pvalue
from firstscan.selection.trust.learning import Learning
from firstscan.selection.trust.verdict import AGREEMENT, AUDIT, LEARNING, STABILITY, stability_of, with_verdict
from firstscan.steps.running.config import PickConfig

from .others import agreement
from .slicing import MINUTES

_NEIGHBOURS = 20
_REPEATS = ((300, 10), (1_000, 5), (5_000, 2))
"""Pools of at most so many scans → how often a choice is repeated on other seeds, and on other pools."""


def with_trust(
    selection: Selection,
    used: FeatureTable,
    config: PickConfig,
    constraints: Constraints,
    progress: Progress | None = None,
    *,
    learned: Learning | None = None,
) -> Selection:
    """Return the selection with all that its verdict rests on among its diagnostics, and with the verdict.

    ``used`` holds the signals that were selected on, adjusted or not; ``learned`` says how the network's losses fell.
    """
    found = dict(selection.diagnostics)
    known = {name: column for name, column in used.covariates.items() if name != MINUTES}
    if known:
        found[AUDIT] = asdict(signal_audit(replace(used, covariates=known), seed=config.seed))
    if config.adjust:
        found["adjusted_for"] = list(config.adjust)
    if learned is not None:
        found[LEARNING] = asdict(learned)
    return measured_again(replace(selection, diagnostics=found), used, config, constraints, progress)


def measured_again(
    selection: Selection,
    used: FeatureTable,
    config: PickConfig,
    constraints: Constraints,
    progress: Progress | None = None,
) -> Selection:
    """Return the selection with its verdict; what was measured of another strategy or size is measured again first."""
    found = dict(selection.diagnostics)
    if stability_of(selection) is None:
        found.pop(STABILITY, None)
        steady = _repeated(selection, used, config, constraints, progress or Silent())
        if steady is not None:
            found[STABILITY] = steady
    if not _compared(found.get(AGREEMENT), selection):
        found[AGREEMENT] = agreement(selection, used, constraints, progress or Silent())
    tested = _with_permutations(replace(selection, diagnostics=found), used, constraints)
    return with_verdict(tested, len(used))


def _compared(told: Mapping[str, Any] | None, selection: Selection) -> bool:
    """Tell whether other strategies were asked for as many scans as the batch holds now."""
    return told is not None and all(len(row["case_ids"]) in {0, len(selection)} for row in told.values())


def repeats_of(asked: int | None, pool: int) -> int:
    """Return how often a choice is repeated on other seeds and on other pools: as asked, or as the pool's size allows.

    Some ten seconds of the largest pools are spent at most; beyond 5,000 scans it has to be asked for.
    """
    if asked is not None:
        return asked
    return next((repeats for most, repeats in _REPEATS if pool <= most), 0)


def _with_permutations(selection: Selection, used: FeatureTable, constraints: Constraints) -> Selection:
    """Return the selection with the p-value of DCR by permutation, where the pool is small enough for it."""
    seen = _seen(used, constraints)
    if seen.uncertainty is None or not len(seen) >= FEWEST or "dcr" not in selection.diagnostics:
        return selection
    dense = _dense(seen)
    found = permutation_pvalue(seen.uncertainty.astype(np.float64), dense, np.random.default_rng(selection.seed))
    if found is None:
        return selection
    told = {PERMUTED: {"p": found[0], "method": found[1]}}
    return replace(selection, diagnostics={**selection.diagnostics, **told})


def with_pacing(selection: Selection, used: FeatureTable, constraints: Constraints) -> Selection:
    """Return the selection with DCR, α and γ as ``cscs`` would have used them, where another strategy chose.

    They describe the pool and decide nothing. Where no uncertainty was measured, or all are alike, there is none to
    speak of. Every pick tells its typicality and uncertainty, whether the strategy read them or not.
    """
    if "dcr" in selection.diagnostics:
        return selection
    used = _seen(used, constraints)
    dense = _dense(used)
    told = _filled(selection, used, dense)
    if used.uncertainty is None or len(used) < 3 or not float(used.uncertainty.std()) > 0:
        return told
    dcr = spearman(used.uncertainty.astype(np.float64), dense, np.random.default_rng(selection.seed))
    alpha = effective_budget(len(selection) + len(constraints.labelled), len(used))
    pace = {
        "dcr": dcr.rho,
        "dcr_pvalue": dcr.pvalue,
        "dcr_interval": list(dcr.interval),
        "dcr_interval_method": dcr.method,
        "alpha_eff": alpha,
        "gamma": pacing(dcr.rho, alpha),
        "pacing_used": False,
    }
    return replace(told, diagnostics={**told.diagnostics, **pace})


def with_signals(selection: Selection, used: FeatureTable, constraints: Constraints) -> Selection:
    """Return the selection with the typicality and the uncertainty of every pick that does not tell them yet."""
    if all(p.typicality is not None and (p.uncertainty is not None or used.uncertainty is None) for p in selection):
        return selection
    used = _seen(used, constraints)
    return _filled(selection, used, _dense(used))


def _seen(used: FeatureTable, constraints: Constraints) -> FeatureTable:
    return used.only(set(used.case_ids).difference(constraints.exclude)) if constraints.exclude else used


def _dense(used: FeatureTable) -> PerCase:
    dense = typicality(used.embeddings, _NEIGHBOURS).values if used.typicality is None else used.typicality
    return np.asarray(dense, dtype=np.float64)


def _filled(selection: Selection, used: FeatureTable, dense: PerCase) -> Selection:
    """Return the selection with what its picks lack of T (``dense``, by row of ``used``) and U."""
    wanted = frozenset(selection.case_ids)
    row = {case_id: i for i, case_id in enumerate(used.case_ids) if case_id in wanted}
    hard = used.uncertainty
    picks = tuple(
        replace(
            pick,
            typicality=float(dense[row[pick.case_id]]) if pick.typicality is None else pick.typicality,
            uncertainty=float(hard[row[pick.case_id]])
            if pick.uncertainty is None and hard is not None
            else pick.uncertainty,
        )
        if pick.case_id in row
        else pick
        for pick in selection
    )
    return replace(selection, picks=picks)


def correlations(diagnostics: Mapping[str, Any]) -> tuple[SignalCorrelation, ...] | None:
    """Return the audit's rows as the report draws them, or None where there was nothing to audit."""
    audit = diagnostics.get(AUDIT)
    if audit is None:
        return None
    rows = [Association(**{**row, "interval": tuple(row["interval"])}) for row in audit["associations"]]
    return tuple(_drawn(row, float(audit["stated_share"])) for row in rows)


def repeats(diagnostics: Mapping[str, Any]) -> Stability | None:
    """Return the stability of a selection as the report shows it, or None where it was not measured."""
    found = diagnostics.get(STABILITY)
    if found is None:
        return None
    return Stability(int(found["runs"]), float(found["pool_overlap"]), dict(found["frequency"]))


def stated_share(diagnostics: Mapping[str, Any]) -> float:
    """Return the share of a signal from which the audit flags."""
    return float((diagnostics.get(AUDIT) or {}).get("stated_share", STATED_SHARE))


def _repeated(
    selection: Selection,
    used: FeatureTable,
    config: PickConfig,
    constraints: Constraints,
    progress: Progress,
) -> dict[str, Any] | None:
    """Return what repeats find; None without any, of a whole pool, or where a changed batch cannot be chosen anew."""
    repeats = repeats_of(config.stability, len(used))
    if not repeats or len(selection) >= len(used) - len(constraints.labelled) - len(constraints.exclude):
        return None
    shown = 0

    def report(done: int, total: int) -> None:
        nonlocal shown
        del total
        progress.advance(done - shown)
        shown = done

    progress.start("Repeating the choice", 2 * repeats)
    asked = replace(selection, budget=len(selection))
    options = config.strategy_options() if selection.strategy == config.strategy else {}
    try:
        found = stability(
            used, asked, repeats, constraints=constraints, progress=report, groups=config.features or None, **options
        )
    except UsageError:
        if len(selection) == config.budget:
            raise
        return None
    finally:
        progress.finish()
    return {**asdict(found), "frequency": {i: f for i, f in found.frequency.items() if f > 0}}


def _drawn(row: Association, stated_share: float) -> SignalCorrelation:
    flagged = is_flagged(row, stated_share)
    return SignalCorrelation(
        signal=row.signal,
        covariate=row.covariate,
        share=row.share,
        low=row.interval[0],
        high=row.interval[1],
        rho=row.rho,
        flagged=flagged,
        remedy=remedy_of(row) if flagged else "",
    )
