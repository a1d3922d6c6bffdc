"""How far a batch can be trusted: what its signals follow, and whether other runs would pick the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from firstscan.domain.arrays import PerCase
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.execution import Progress, Silent
from firstscan.report import SignalCorrelation, Stability
from firstscan.selection import Association, Constraints, remedy_of, signal_audit, stability
from firstscan.selection.geometry import typicality
from firstscan.selection.signals import effective_budget, pacing, spearman
from firstscan.selection.trust.confounds import STATED_SHARE, in_short
from firstscan.steps.running.batch_config import PickConfig

from .slicing import MINUTES

_NEIGHBOURS = 20


def with_trust(
    selection: Selection,
    used: FeatureTable,
    config: PickConfig,
    constraints: Constraints,
    progress: Progress | None = None,
) -> Selection:
    """Return the selection with ``signal_audit`` and, where asked for, ``stability`` among its diagnostics.

    ``used`` holds the signals that were selected on, adjusted or not.
    """
    found = dict(selection.diagnostics)
    known = {name: column for name, column in used.covariates.items() if name != MINUTES}
    if known:
        found["signal_audit"] = asdict(signal_audit(replace(used, covariates=known), seed=config.seed))
    if config.adjust:
        found["adjusted_for"] = list(config.adjust)
    if config.stability is not None:
        found["stability"] = _repeated(selection, used, config, constraints, progress or Silent())
    return replace(selection, diagnostics=found)


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


def warnings_of(diagnostics: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the audit and the repeats say to the user, in sentences."""
    audit, repeats = diagnostics.get("signal_audit") or {}, diagnostics.get("stability") or {}
    rows = [Association(**{**row, "interval": tuple(row["interval"])}) for row in audit.get("associations", ())]
    return (*in_short(rows, stated_share(diagnostics)), *repeats.get("advice", ()))


def correlations(diagnostics: Mapping[str, Any]) -> tuple[SignalCorrelation, ...] | None:
    """Return the audit's rows as the report draws them, or None where there was nothing to audit."""
    audit = diagnostics.get("signal_audit")
    if audit is None:
        return None
    rows = [Association(**{**row, "interval": tuple(row["interval"])}) for row in audit["associations"]]
    return tuple(_drawn(row, float(audit["stated_share"])) for row in rows)


def repeats(diagnostics: Mapping[str, Any]) -> Stability | None:
    """Return the stability of a selection as the report shows it, or None where it was not measured."""
    found = diagnostics.get("stability")
    if found is None:
        return None
    advice = tuple(found.get("advice", ()))
    return Stability(int(found["runs"]), float(found["pool_overlap"]), dict(found["frequency"]), advice)


def stated_share(diagnostics: Mapping[str, Any]) -> float:
    """Return the share of a signal from which the audit flags."""
    return float((diagnostics.get("signal_audit") or {}).get("stated_share", STATED_SHARE))


def _repeated(
    selection: Selection, used: FeatureTable, config: PickConfig, constraints: Constraints, progress: Progress
) -> dict[str, Any]:
    shown = 0

    def report(done: int, total: int) -> None:
        nonlocal shown
        del total
        progress.advance(done - shown)
        shown = done

    progress.start("Repeating the choice", 2 * (config.stability or 0))
    found = stability(
        used,
        selection,
        config.stability or 0,
        constraints=constraints,
        progress=report,
        **config.strategy_options(),
    )
    progress.finish()
    return {**asdict(found), "frequency": {i: f for i, f in found.frequency.items() if f > 0}}


def _drawn(row: Association, stated_share: float) -> SignalCorrelation:
    flagged = row.share >= stated_share and row.interval[0] > 0
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
