"""One cell of a finished study, done again from its plan, and held against what was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from firstscan.domain.errors import UsageError
from firstscan.steps.running.run import Settings
from firstscan.store import differences, load_json, read_manifest

from .cells import Cell
from .plan import CEILING, Plan, plan_of, read_plan
from .prepared import FeatureSource
from .publishing.publish import ABOUT, CELLS, PLAN, SCORES
from .run import study
from .table import read_scores

KEYS = ("strategy", "budget", "selection_seed", "training_seed")
METRICS = {"dice": "Dice", "hd95_mm": "HD95", "nsd": "NSD"}


@dataclass(frozen=True)
class Rerun:
    """A repeated cell: whether picks and every score are the same, and what is to be said, one line each."""

    cell: Cell
    same: bool
    lines: tuple[str, ...]


def rerun(
    recorded: Path,
    cell: str,
    out: Path,
    settings: Settings,
    *,
    plan: Path | None = None,
    features: FeatureSource | None = None,
) -> Rerun:
    """Do one cell of the study in ``recorded`` again, into ``out``.

    ``cell``: ``STRATEGY:BUDGET:SELECTION_SEED[:TRAINING_SEED]``. ``plan``: the same plan with the folders where the
    scans are now, for those that have moved.

    Raises
    ------
    UsageError : no finished study there, no such cell in it, or a plan with other settings.  DataError : see ``study``.
    """
    if out.resolve() == recorded.resolve():
        raise UsageError(f"--out {out} is the study itself; choose another folder")
    manifest = read_manifest(recorded)
    if manifest is None or manifest.kind != "study":
        raise UsageError(f"{recorded} holds no finished study; name the folder that firstscan study wrote")
    kept = recorded / "work" / PLAN
    told = plan_of(load_json(kept if kept.is_file() else recorded / PLAN))
    if told.rounds is not None:
        raise UsageError(
            f"{recorded} is a study with rounds, whose cells rest on one another; run its plan into another folder"
        )
    wanted = _found(cell, pd.read_csv(recorded / CELLS, keep_default_na=False), recorded)
    if plan is not None:
        told = _same_settings(told, read_plan(plan))
    study(_only(told, wanted), out, settings, features, only=wanted)
    before, after = (_result(folder, wanted) for folder in (recorded, out))
    lines = [f"Cell: {wanted.strategy}, {wanted.budget} labels, seeds {wanted.selection_seed}, {wanted.training_seed}"]
    lines += _compared(before, after)
    same = before[0] == after[0] and before[1].equals(after[1])
    if not same:
        lines += _reasons(recorded, out)
    return Rerun(wanted, same, tuple(lines))


def _found(text: str, cells: pd.DataFrame, recorded: Path) -> Cell:
    parts = text.split(":")
    for seeds in (2, 1):  # with and without a training seed
        label, numbers = ":".join(parts[: -seeds - 1]), parts[-seeds - 1 :]
        if not label or not all(n.isdigit() for n in numbers):
            continue
        budget, selection, training = (*map(int, numbers), 0)[:3]
        mine = cells[
            (cells["strategy"] == label)
            & (cells["budget"] == budget)
            & (cells["selection_seed"] == selection)
            & (cells["training_seed"] == training)
        ]
        if len(mine):
            return Cell(label, budget, selection, training, tuple(mine["picks"].iloc[0].split()))
    known = cells.drop_duplicates(["strategy", "budget"])
    some = ", ".join(":".join(str(r[k]) for k in KEYS[:3]) for r in known.head(5).to_dict("records"))
    raise UsageError(
        f"{recorded} has no cell {text!r}; a cell is STRATEGY:BUDGET:SELECTION_SEED[:TRAINING_SEED], for example {some}"
    )


def _same_settings(recorded: Plan, given: Plan) -> Plan:
    """Return the recorded plan with the folders of ``given``.  Raises UsageError where other settings differ."""
    moved = recorded.model_copy(update={"pool": given.pool, "test": given.test, "name": given.name})
    changed = differences(moved.model_dump(mode="json"), given.model_dump(mode="json"))
    if changed:
        raise UsageError(
            "--plan has other settings than the study, which would give other numbers:\n  " + "\n  ".join(changed)
        )
    return recorded.model_copy(update={"pool": given.pool, "test": given.test})


def _only(plan: Plan, cell: Cell) -> Plan:
    """Return a plan that holds little more than ``cell``."""
    if cell.strategy == CEILING:
        return plan.model_copy(
            update={"strategies": plan.strategies[:1], "budgets": (1,), "selection_seeds": {"default": 1}}
        )
    entry = next(s for s in plan.strategies if s.label == cell.strategy)
    return plan.model_copy(
        update={
            "strategies": (entry,),
            "budgets": (cell.budget,),
            "selection_seeds": {"default": cell.selection_seed + 1},
            "training_seeds": cell.training_seed + 1,
            "ceiling": False,
        }
    )


def _result(folder: Path, cell: Cell) -> tuple[list[str], pd.DataFrame]:
    """Return picks and scores of a cell, in a fixed order."""
    key = [getattr(cell, k) for k in KEYS]
    cells = pd.read_csv(folder / CELLS, keep_default_na=False)
    picks = cells.loc[(cells[list(KEYS)] == key).all(axis=1), "picks"].iloc[0].split()
    scores = read_scores(folder / SCORES)
    mine = scores[(scores[list(KEYS)] == key).all(axis=1)]
    columns = ["case_id", "label", *METRICS, "status", "reason"]
    return picks, mine[columns].sort_values(["case_id", "label"]).reset_index(drop=True)


def _compared(before: tuple[list[str], pd.DataFrame], after: tuple[list[str], pd.DataFrame]) -> list[str]:
    lines = ["Picks: the same" if before[0] == after[0] else f"Picks: {' '.join(before[0])} → {' '.join(after[0])}"]
    old, new = before[1], after[1]
    failed = [
        (name, t["reason"].iloc[0]) for name, t in (("then", old), ("now", new)) if (t["status"] == "failed").any()
    ]
    if failed:
        return lines + [f"The cell failed {when}: {reason}" for when, reason in failed]
    if old.equals(new):
        return [*lines, f"Scores: all {len(old)} the same, to the last digit"]
    both = old.merge(new, on=["case_id", "label"], suffixes=("_old", "_new"))
    if len(both) != len(old) or len(both) != len(new):
        return [*lines, f"Scores: {len(old)} then, {len(new)} now, of which {len(both)} are of the same scan and class"]
    told = [
        f"{name} {both[f'{metric}_old'].mean():.4f} → {both[f'{metric}_new'].mean():.4f} "
        f"(largest difference of one score {np.abs(both[f'{metric}_old'] - both[f'{metric}_new']).max():.3g})"
        for metric, name in METRICS.items()
    ]
    return [*lines, *(f"Scores: {line}" for line in told)]


def _reasons(recorded: Path, out: Path) -> list[str]:
    """Say what else differs: the scans and label maps, and the versions that computed."""
    old, new = read_manifest(recorded), read_manifest(out)
    lines = []
    if old is not None and new is not None:
        other = sum(old.inputs.get(k) != new.inputs.get(k) for k in old.inputs.keys() | new.inputs.keys())
        lines.append(f"Scans and label maps: {f'{other} differ' if other else 'the same'}")
    then, now = (_versions(folder) for folder in (recorded, out))
    changed = differences(then, now)
    lines.append("Versions: " + (", ".join(changed) if changed else "the same; is the processor or the GPU another?"))
    return lines


def _versions(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_json(folder / ABOUT)["versions"]
    return found
