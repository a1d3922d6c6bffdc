"""What the report tells of a batch besides how it was chosen, gathered from features and logs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.report import Afterwards, Collection, GroupRow, HandOver, OtherChoice, ReviewEntry, Spread
from firstscan.selection.trust.verdict import AGREEMENT
from firstscan.steps.running.config import PickConfig, parse_quota
from firstscan.steps.running.history import HANDOFFS, REVIEW, read_log
from firstscan.steps.running.run import Run

MOST_GROUPS, MOST_TOLD = 8, 300


def afterwards(
    run: Run, selection: Selection, used: FeatureTable, settings: Mapping[str, Any], *, show_values: bool
) -> Afterwards:
    """Return other choices, groups, hand-offs and the review of a batch.

    Parameters
    ----------
    used : the pool with the signals that were selected on.
    settings : the resolved settings of the command that made the batch.
    show_values : whether values of metadata may be shown; those that a quota names are in the settings anyway.
    """
    known = {k: v for k, v in settings.items() if k in PickConfig.model_fields}
    config = PickConfig.of(**known) if known.get("budget") or known.get("slices") else None
    handovers, collections = _handed(read_log(run.workspace.out / HANDOFFS))
    return Afterwards(
        others=other_choices(selection),
        spreads=() if config is None else spreads(selection, used, config, show_values=show_values),
        handovers=handovers,
        collections=collections,
        review=tuple(map(_reviewed, read_log(run.workspace.out / REVIEW))),
    )


def other_choices(selection: Selection) -> tuple[OtherChoice, ...]:
    """Return what other strategies pick from the same scans, for as many picks, seed and conditions alike."""
    told = selection.diagnostics.get(AGREEMENT) or {}
    return tuple(OtherChoice(name, tuple(row["case_ids"]), row["why_not"]) for name, row in sorted(told.items()))


def spreads(selection: Selection, used: FeatureTable, config: PickConfig, *, show_values: bool) -> tuple[Spread, ...]:
    """Return how the batch spreads over the columns of ``--group-by`` and ``--quota``, and over others if shown."""
    quotas: dict[str, dict[str, str]] = {}
    for text in config.quota:
        column, group, least, most = parse_quota(text)
        quotas.setdefault(column, {})[group] = _bounds(least, most)
    asked = [c for c in dict.fromkeys([*config.group_by, *quotas]) if c in used.covariates]
    more = [c for c in used.covariates if c not in asked and _few(used.covariates[c])] if show_values else []
    return tuple(
        _spread(
            column,
            selection,
            used,
            quotas.get(column, {}),
            once=column in config.group_by,
            show_values=show_values,
        )
        for column in (*asked, *more)
    )


def _spread(
    column: str,
    selection: Selection,
    used: FeatureTable,
    quotas: Mapping[str, str],
    *,
    once: bool,
    show_values: bool,
) -> Spread:
    values = dict(zip(used.case_ids, map(str, used.covariates[column].tolist()), strict=True))
    given = {i: v for i, v in values.items() if v not in {"", "nan"}}
    pool = Counter(given.values())
    batch = Counter(given[i] for i in selection.case_ids if i in given)
    named = list(quotas)
    if show_values and len(pool) <= MOST_GROUPS:
        named += sorted(group for group in pool if group not in quotas)
    rows = [GroupRow(group, pool[group], batch[group], quotas.get(group, "")) for group in named]
    left = {group for group in pool if group not in named}
    if rows and left:
        others = sum(pool[g] for g in left), sum(batch[g] for g in left)
        rows.append(GroupRow(f"{len(left)} other group{'s' * (len(left) > 1)}", *others))
    return Spread(column, len(pool), len(batch), tuple(rows), once=once)


def _few(column: np.ndarray) -> bool:
    """Tell whether a column is one of groups: text with a handful of values."""
    return column.dtype.kind in "UOb" and 1 < len(set(map(str, column.tolist()))) <= MOST_GROUPS


def _bounds(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least}"
    return f"at most {most}" if not least else f"{least} to {most}" if least < most else f"exactly {least}"


def _handed(log: Sequence[Mapping[str, Any]]) -> tuple[tuple[HandOver, ...], tuple[Collection, ...]]:
    handovers, collections = [], []
    for entry in log:
        time, folder = str(entry.get("time", "")), Path(str(entry.get("folder", ""))).name
        if entry.get("action") == "handoff" and isinstance(entry.get("readers"), Mapping):
            readers = {str(r): tuple(map(str, ids)) for r, ids in entry["readers"].items()}
            handovers.append(HandOver(time, str(entry.get("target", "")), folder, readers))
        elif entry.get("action") == "collect":
            collections.append(Collection(time, folder, tuple(map(str, entry.get("labelled", ())))))
    return tuple(handovers), tuple(collections)


def _reviewed(entry: Mapping[str, Any]) -> ReviewEntry:
    if "unread" in entry:
        return ReviewEntry("", "a line that cannot be read", detail=str(entry["unread"])[:200])
    return ReviewEntry(
        time=str(entry.get("time") or ""),
        action=str(entry.get("action") or ""),
        case_id=str(entry.get("case_id") or ""),
        why=str(entry.get("why") or ""),
        detail=_told(entry.get("detail")),
    )


def _told(detail: object) -> str:
    """Return a detail of any shape as a short text: a pick by its id, a list by its length."""
    if detail is None or detail in ("", {}, []):
        return ""
    if isinstance(detail, Mapping):
        if "case_id" in detail:
            return str(detail["case_id"])
        return ", ".join(f"{name}: {_told(value)}" for name, value in detail.items())[:MOST_TOLD]
    if isinstance(detail, list):
        return f"{len(detail)} of them"
    return detail[:MOST_TOLD] if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
