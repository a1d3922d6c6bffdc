"""What the report tells of a batch besides how it was chosen, gathered from features and logs."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.report import Afterwards, Collection, GroupRow, HandOver, OtherChoice, ReviewEntry, Spread
from firstscan.selection import select as choose
from firstscan.steps.running.batch_config import PickConfig, parse_quota
from firstscan.steps.running.history import HANDOFFS, REVIEW, read_log
from firstscan.steps.running.run import Run
from firstscan.steps.selecting.pick import constraints_of
from firstscan.steps.selecting.slicing import as_chosen
from firstscan.store import atomic_write, dump_json, identity, load_json

QUICK = ("alps", "calr", "kcenter", "maxherding")
"""Strategies compared on every pool up to ``MOST_QUICK`` scans: seconds there."""
SLOWER = ("cscs", "csal3d", "probcover", "typiclust", "usl")
"""Compared up to ``MOST_SLOWER`` scans."""
MOST_QUICK, MOST_SLOWER = 5_000, 2_000
MOST_GROUPS, MOST_TOLD = 8, 300
OTHERS = "others.json"
"""In ``work``: what the other strategies picked, so that a replacement does not ask them again."""


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
        others=() if config is None else other_choices(run, selection, used, config),
        spreads=() if config is None else spreads(selection, used, config, show_values=show_values),
        handovers=handovers,
        collections=collections,
        review=tuple(map(_reviewed, read_log(run.workspace.out / REVIEW))),
    )


def other_choices(run: Run, selection: Selection, used: FeatureTable, config: PickConfig) -> tuple[OtherChoice, ...]:
    """Return what the cheap strategies pick from the same scans, for as many picks, seed and conditions alike."""
    config, used = as_chosen(config, used, selection)
    names = [*(QUICK if len(used) <= MOST_QUICK else ()), *(SLOWER if len(used) <= MOST_SLOWER else ())]
    names = sorted(name for name in names if name != selection.strategy)
    if not names:
        return ()
    asked = identity(__version__, _content(used), len(selection), selection.seed, config.resolved(), names)
    kept = run.workspace.work / OTHERS
    told = load_json(kept) if kept.is_file() else {}
    if told.get("asked") != asked:
        with run.stage("Comparing choices", len(names)) as progress:
            found = []
            for name in names:
                found.append(_chosen_by(name, selection, used, config))
                progress.advance(1, name)
        told = {"asked": asked, "found": [[o.strategy, list(o.case_ids), o.why_not] for o in found]}
        atomic_write(kept, dump_json(told))
    return tuple(OtherChoice(name, tuple(ids), why) for name, ids, why in told["found"])


def _chosen_by(name: str, selection: Selection, used: FeatureTable, config: PickConfig) -> OtherChoice:
    try:
        other = choose(used, len(selection), name, selection.seed, constraints=constraints_of(config, ()))
    except UsageError as error:
        return OtherChoice(name, why_not=str(error))
    return OtherChoice(name, other.case_ids)


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


def _content(used: FeatureTable) -> str:
    """Return a name for what the strategies see of the pool."""
    digest = hashlib.sha256("\n".join(used.case_ids).encode())
    for array in (used.embeddings, used.uncertainty, used.typicality):
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


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
