"""Features of a study: the ordinary extraction, on the pool only, once for each kind that the plan asks for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.steps.api import extract
from firstscan.steps.run import Run
from firstscan.store import atomic_write, dump_json

from .plan import Plan, StrategyEntry

TIMES = "seconds.json"


def extractor(plan: Plan, run: Run) -> Callable[[Pool, StrategyEntry], FeatureTable]:
    """Return the function that extracts the features of an entry, cached below the study's work folder."""

    def features(pool: Pool, entry: StrategyEntry) -> FeatureTable:
        """Extract the features of ``pool`` as ``entry`` asks for them, and note how long it took."""
        region, preset = entry.region or plan.region, entry.preset or plan.preset
        out = run.workspace.folder("features", f"{preset}-{region}")
        began = time.perf_counter()
        table = extract(
            pool,
            preset,
            plan.seed,
            region=region,
            train_steps=plan.train_steps,
            out=out,
            workers=run.settings.workers,
            engine=run.settings.engine,
            device=run.settings.device,
            progress=run.progress,
        )
        seconds = round(time.perf_counter() - began, 3)
        run.workspace.log("features", name=out.name, seconds=seconds)
        if not (out / TIMES).exists():
            atomic_write(out / TIMES, dump_json({"seconds": round(seconds, 1)}))
        return table

    return features


def feature_seconds(work: Path) -> dict[str, float]:
    """Return ``{kind: seconds of pretraining and extraction}`` as far as it was measured."""
    found = sorted((work / "features").glob(f"*/{TIMES}"))
    return {p.parent.name: json.loads(p.read_text(encoding="utf-8"))["seconds"] for p in found}
