"""Features of a study: the ordinary extraction, on the pool only, once for each kind that the plan asks for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.selection.checks import check_uncertainty
from firstscan.selection.registry import strategy_class
from firstscan.steps.measuring.pipeline import extracted, opened, settled
from firstscan.steps.running.config import INSTANT, ExtractCommand
from firstscan.steps.running.results import HeldError, refusal
from firstscan.steps.running.run import Run
from firstscan.store import atomic_write, dump_json

from .plan import Plan, StrategyEntry

TIMES = "seconds.json"


def extractor(plan: Plan, run: Run) -> Callable[[Pool, StrategyEntry], FeatureTable]:
    """Return the function that extracts the features of an entry, cached below the study's work folder.

    Kinds of features share readings, crops and, where only ``region`` differs, the trained network.
    """

    def features(pool: Pool, entry: StrategyEntry) -> FeatureTable:
        """Extract the features of ``pool`` as ``entry`` asks for them, and note how long it took."""
        given = ExtractCommand.of(
            source=pool.source,
            preset=entry.preset or plan.preset,
            seed=plan.seed,
            region=entry.region or plan.region,
            train_steps=plan.train_steps,
        )
        out = run.workspace.folder("features", f"{given.preset}-{given.region}")
        began = time.perf_counter()
        config = settled(given, run.settings.device)
        try:
            with opened(out, run.settings, shared=run.workspace.folder("prepared")) as own:
                table = extracted(pool, config, own)
        except HeldError as error:  # of features that an unfinished study began: the folder to name is the study's
            raise refusal(run.workspace.out, error.lines) from error
        seconds = round(time.perf_counter() - began, 3)
        run.workspace.log("features", name=out.name, seconds=seconds)
        if not (out / TIMES).exists():
            atomic_write(out / TIMES, dump_json({"seconds": round(seconds, 1)}))
        return table

    return features


def check_strategies(plan: Plan) -> None:
    """Raise UsageError where a strategy does not exist, or needs the uncertainty that preset ``instant`` lacks."""
    for entry in plan.strategies:
        kind = strategy_class(entry.name)
        if (entry.preset or plan.preset) != INSTANT or not kind.uses_uncertainty:
            continue
        try:
            needed = kind(**entry.options).needs_uncertainty()
        except (TypeError, UsageError):  # wrong options fail the cells of this entry, with a reason
            continue
        check_uncertainty(entry.label, needed=needed, measured=False)


def feature_seconds(work: Path) -> dict[str, float]:
    """Return ``{kind: seconds of pretraining and extraction}`` as far as it was measured."""
    found = sorted((work / "features").glob(f"*/{TIMES}"))
    return {p.parent.name: json.loads(p.read_text(encoding="utf-8"))["seconds"] for p in found}
