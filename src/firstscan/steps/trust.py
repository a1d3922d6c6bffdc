"""How far a batch can be trusted: what its signals follow, and whether other runs would pick the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.execution import Progress, Silent
from firstscan.report import SignalCorrelation, Stability
from firstscan.selection import Association, Constraints, signal_audit, stability

from .config import PickConfig


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
    if used.covariates:
        found["signal_audit"] = asdict(signal_audit(used, seed=config.seed))
    if config.adjust:
        found["adjusted_for"] = list(config.adjust)
    if config.stability is not None:
        found["stability"] = _repeated(selection, used, config, constraints, progress or Silent())
    return replace(selection, diagnostics=found)


def warnings_of(diagnostics: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the audit and the repeats say to the user, in sentences."""
    audit, repeats = diagnostics.get("signal_audit") or {}, diagnostics.get("stability") or {}
    return (*audit.get("warnings", ()), *repeats.get("advice", ()))


def correlations(diagnostics: Mapping[str, Any]) -> tuple[SignalCorrelation, ...] | None:
    """Return the audit's rows as the report draws them; categories have the root of their share, without a sign."""
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
    return Stability(int(found["runs"]), float(found["pool_overlap"]), dict(found["frequency"]))


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
    sign = -1.0 if (row.rho or 0.0) < 0 else 1.0
    ends = sorted(sign * float(np.sqrt(share)) for share in row.interval)
    rho = float(np.sqrt(row.share)) if row.rho is None else row.rho
    flagged = row.share >= stated_share and row.interval[0] > 0
    return SignalCorrelation(row.signal, row.covariate, rho, min(ends[0], rho), max(ends[1], rho), flagged)
