"""Features of a study: the ordinary extraction, on the pool only, once for each kind that the plan asks for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.selection.checks import check_uncertainty
from firstscan.selection.queries.registry import asks_a_model, rule_class
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


def check_queries(plan: Plan) -> None:
    """Look whether every rule of a plan with rounds can be asked, before anything is trained.

    Raises
    ------
    UsageError : an unknown rule or option, too few members for one, or a trainer whose networks cannot be asked.
    """
    asking = []
    for entry in plan.queries:
        kind = rule_class(entry.name)
        known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
        if unknown := sorted(set(entry.options) - known):
            valid = f"its options are {', '.join(sorted(known))}" if known else "it has no options"
            raise UsageError(f"rule {entry.name!r} has no option {', '.join(map(repr, unknown))}; {valid}")
        kind(**entry.options)
        if not asks_a_model(kind):
            continue
        asking.append(entry.label)
        least = getattr(kind, "least_members", 1)
        if plan.members < least:
            raise UsageError(
                f"rule {entry.name} compares the members of an ensemble: members has to be at least {least}; found "
                f"{plan.members}"
            )
    if plan.segmenter.name != "unet" and (asking or plan.restart == "warm"):
        what = f"rules that ask a model ({', '.join(asking)})" if asking else "restart: warm"
        raise UsageError(f"{what} need segmenter unet; the plan has {plan.segmenter.name}")


def feature_seconds(work: Path) -> dict[str, float]:
    """Return ``{kind: seconds of pretraining and extraction}`` as far as it was measured."""
    found = sorted((work / "features").glob(f"*/{TIMES}"))
    return {p.parent.name: json.loads(p.read_text(encoding="utf-8"))["seconds"] for p in found}
