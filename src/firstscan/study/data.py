"""The scans of a study: the pool to select from, the test cases, their label maps and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.steps.config import IndexConfig
from firstscan.steps.headers import headers_of
from firstscan.steps.index import index
from firstscan.steps.labels import find_classes, match_labels, read_classes
from firstscan.steps.run import Run

from .plan import Plan, Share


@dataclass(frozen=True)
class StudyData:
    """``pool`` never holds a test case; ``labels`` maps ids of both to files; ``classes`` names to values."""

    pool: Pool
    test: Pool
    pool_labels: Mapping[str, str]
    test_labels: Mapping[str, str]
    classes: Mapping[str, int]


def read_data(plan: Plan, run: Run) -> StudyData:
    """Index both sets and match their label maps.

    Raises
    ------
    UsageError : folders that are missing or a test set that overlaps the pool.
    DataError : no test case left, a test case without label map, no class, or values with gaps.
    """
    headers = headers_of(run)
    pool = index(IndexConfig.of(source=plan.pool.source, table=plan.pool.table, channel=plan.channel), headers)
    labels_folder = Path(plan.pool.labels)
    if isinstance(plan.test, Share):
        pool, test = split(pool, plan.test)
        test_folder = labels_folder
    else:
        test = index(IndexConfig.of(source=plan.test.source, channel=plan.channel), headers)
        test_folder = Path(plan.test.labels)
        _refuse_overlap(pool, test)
    pool_labels = match_labels(labels_folder, pool.case_ids)
    test_labels = match_labels(test_folder, test.case_ids)
    missing = [c for c in test.case_ids if c not in test_labels]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(test)} test cases have no label map in {test_folder}: {', '.join(missing[:5])}; "
            "add them, or take these scans out of the test set"
        )
    if not pool_labels:
        raise DataError(f"no label map in {labels_folder} fits a scan of the pool; check plan entry pool.labels")
    both = {**{f"pool {k}": v for k, v in pool_labels.items()}, **{f"test {k}": v for k, v in test_labels.items()}}
    classes = dict(plan.classes) or read_classes(labels_folder) or find_classes(both, workers=run.settings.workers)
    if sorted(classes.values()) != list(range(1, len(classes) + 1)):
        listed = ", ".join(f"{name} = {value}" for name, value in classes.items())
        raise DataError(
            f"the classes are {listed}; segmenters need the values 1, 2, 3, … without gaps besides background 0. "
            "Renumber the label maps, and correct the class list (plan entry classes) where there is one"
        )
    return StudyData(pool, test, pool_labels, test_labels, classes)


def split(pool: Pool, share: Share) -> tuple[Pool, Pool]:
    """Cut a test set from ``pool``: whole groups (patients), in seeded order, until the share is reached.

    Raises
    ------
    DataError : no case would be left on one side.
    """
    groups: dict[str, list[str]] = {}
    for case in pool:
        name = case.metadata.get(share.group_by)
        groups.setdefault(case.case_id if name is None else f"group {name}", []).append(case.case_id)
    names = sorted(groups)
    order = np.random.default_rng(share.seed).permutation(len(names))
    wanted = max(1, round(share.fraction * len(pool)))
    chosen: list[str] = []
    for i in order:
        if len(chosen) >= wanted:
            break
        chosen += groups[names[int(i)]]
    rest = [c for c in pool.case_ids if c not in set(chosen)]
    if not rest:
        raise DataError(
            f"a test share of {share.fraction:g} leaves no scan to select from: the pool has {len(pool)} scan(s) of "
            f"{len(groups)} patient(s); give a test folder, or more patients"
        )
    return pool.only(rest), pool.only(chosen)


def _refuse_overlap(pool: Pool, test: Pool) -> None:
    """Refuse a test case that is also in the pool: SSL and selection must never see the test cases."""
    seen = {str(Path(p).resolve()) for case in pool for p in case.paths}
    twice = [case.case_id for case in test if any(str(Path(p).resolve()) in seen for p in case.paths)]
    if twice:
        raise UsageError(
            f"{len(twice)} test case(s) are in the pool as well: {', '.join(twice[:5])}; keep the two sets apart"
        )
