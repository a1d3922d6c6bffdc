"""The scans of a study: the pool to select from, the test cases, their label maps and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.domain.slices import refuse_class
from firstscan.steps.annotating.label_maps import find_classes, read_classes, read_ignore
from firstscan.steps.annotating.matching import match_labels
from firstscan.steps.measuring.index import index
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.headers import headers_of
from firstscan.steps.running.origin import KEY
from firstscan.steps.running.run import Run

from .plan import Plan, PoolScans, Share, SubPools


@dataclass(frozen=True)
class StudyData:
    """``pool`` never holds a test case; ``labels`` maps ids of both to files; ``classes`` names to values.

    ``ignore`` is the value of voxels that nobody annotated, None where every voxel is.
    """

    pool: Pool
    test: Pool
    pool_labels: Mapping[str, str]
    test_labels: Mapping[str, str]
    classes: Mapping[str, int]
    ignore: int | None = None


def read_data(plan: Plan, run: Run) -> StudyData:
    """Index both sets and match their label maps.

    Raises
    ------
    UsageError : folders that are missing or a test set that overlaps the pool.
    DataError : no test case left, a test case without label map, no class, or values with gaps.
    """
    headers = headers_of(run)
    key = run.workspace.work / KEY
    pool = index(IndexConfig.of(source=plan.pool.source, table=plan.pool.table, channel=plan.channel), headers, key)
    labels_folder = Path(plan.pool.labels)
    if plan.expects is not None and len(pool) != plan.expects.scans:
        raise UsageError(
            f"{plan.pool.source} holds {len(pool)} scans, and this plan is for {plan.expects.scans}"
            f"{f' ({plan.expects.because})' if plan.expects.because else ''}: its budgets and test share would mean "
            "something else. Give it those scans, or take the entry expects out of a copy (firstscan plans NAME)"
        )
    if isinstance(plan.test, Share):
        pool, test = split(pool, plan.test)
        test_folder = labels_folder
    else:
        test = index(IndexConfig.of(source=plan.test.source, channel=plan.channel), headers, key)
        test_folder = Path(plan.test.labels)
        _refuse_overlap(pool, test)
    pool = part_of(pool, plan.pool, group_by=plan.test.group_by if isinstance(plan.test, Share) else "patient")
    _refuse_mixed(pool)
    scans = [Path(channel.path) for case in (*pool, *test) for channel in case.channels]
    pool_labels = match_labels(labels_folder, pool.case_ids, pool.pseudonyms, scans=scans)
    test_labels = match_labels(test_folder, test.case_ids, test.pseudonyms, scans=scans)
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
    ignore = read_ignore(labels_folder)
    refuse_class(ignore, classes, f"the label maps in {labels_folder}")
    return StudyData(pool, test, pool_labels, test_labels, classes, ignore)


def split(pool: Pool, share: Share) -> tuple[Pool, Pool]:
    """Cut a test set from ``pool``: whole groups (patients), in seeded order, until the share is reached.

    Raises
    ------
    DataError : no case would be left on one side.
    """
    groups = _groups(pool, share.group_by)
    chosen = _drawn(groups, max(1, round(share.fraction * len(pool))), np.random.default_rng(share.seed))
    rest = [c for c in pool.case_ids if c not in set(chosen)]
    if not rest:
        raise DataError(
            f"a test share of {share.fraction:g} leaves no scan to select from: the pool has {len(pool)} scan(s) of "
            f"{len(groups)} patient(s); give a test folder, or more patients"
        )
    return pool.only(rest), pool.only(chosen)


def part_of(pool: Pool, told: PoolScans, *, group_by: str = "patient") -> Pool:
    """Return the half of ``pool`` that a plan is for; whole groups stay together."""
    if told.part == "all":
        return pool
    rng = np.random.default_rng([told.part_seed, len("halves")])
    first = set(_drawn(_groups(pool, group_by), len(pool) // 2, rng))
    kept = [c for c in pool.case_ids if (c in first) == (told.part == "development")]
    if not kept:
        raise DataError(f"the {told.part} half of {len(pool)} scan(s) is empty; give the pool more scans")
    return pool.only(kept)


def subpools(pool: Pool, case_ids: Sequence[str], drawn: SubPools, *, largest_budget: int) -> list[tuple[str, ...]]:
    """Return the ids of every sub-pool: whole groups (patients) in seeded order until the share is reached.

    Raises
    ------
    DataError : a sub-pool would hold no more scans than the largest budget picks.
    """
    usable = pool.only(case_ids)
    groups = _groups(usable, "patient")
    wanted = round(drawn.share * len(usable))
    if wanted <= largest_budget:
        raise DataError(
            f"sub-pools of {drawn.share:g} of {len(usable)} scans hold {wanted}, and up to {largest_budget} are "
            "picked: no strategy could choose. Lower the budgets, or raise pools.share"
        )
    found: list[tuple[str, ...]] = []
    taken: set[str] = set()
    for number in range(drawn.draws):
        left = {n: ids for n, ids in groups.items() if not taken.intersection(ids)} if drawn.disjoint else groups
        ids = _drawn(left, wanted, np.random.default_rng([drawn.seed, number]))
        if len(ids) <= largest_budget:
            raise DataError(f"the pool has no scans left for disjoint sub-pool {number + 1}; draw fewer")
        taken.update(ids)
        found.append(tuple(sorted(ids)))
    return found


def _groups(pool: Pool, group_by: str) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for case in pool:
        name = case.metadata.get(group_by)
        groups.setdefault(case.case_id if name is None else f"group {name}", []).append(case.case_id)
    return groups


def _drawn(groups: Mapping[str, list[str]], wanted: int, rng: np.random.Generator) -> list[str]:
    """Return the ids of whole groups in random order, until ``wanted`` are reached."""
    names = sorted(groups)
    chosen: list[str] = []
    for i in rng.permutation(len(names)):
        if len(chosen) >= wanted:
            break
        chosen += groups[names[int(i)]]
    return chosen


def _refuse_mixed(pool: Pool) -> None:
    """Refuse scans with different numbers of channels, which no network can read together."""
    counts: dict[int, list[str]] = {}
    for case in pool:
        counts.setdefault(len(case.channels), []).append(case.case_id)
    if len(counts) > 1:
        told = "; ".join(f"{n} channel(s): {len(ids)} scan(s), such as {ids[0]}" for n, ids in sorted(counts.items()))
        raise DataError(f"the scans of the pool have different numbers of channels ({told}). Name some with channel:")


def refuse_copies(data: StudyData, prints: Mapping[str, str]) -> None:
    """Refuse a test scan whose files are, byte for byte, those of a scan in the pool, under whatever name.

    Raises
    ------
    UsageError : names the pairs.
    """
    of_pool = {prints[f"pool {c}"]: c for c in data.pool.case_ids}
    twice = [(c, of_pool[prints[f"test {c}"]]) for c in data.test.case_ids if prints[f"test {c}"] in of_pool]
    if twice:
        named = ", ".join(f"{test} is {pool}" for test, pool in twice[:5])
        raise UsageError(
            f"{len(twice)} test scan(s) are in the pool under another name ({named}); keep the two sets apart"
        )


def _refuse_overlap(pool: Pool, test: Pool) -> None:
    """Refuse a test case that is also in the pool: SSL and selection must never see the test cases."""
    seen = {str(Path(p).resolve()) for case in pool for p in case.paths}
    twice = [case.case_id for case in test if any(str(Path(p).resolve()) in seen for p in case.paths)]
    if twice:
        raise UsageError(
            f"{len(twice)} test case(s) are in the pool as well: {', '.join(twice[:5])}; keep the two sets apart"
        )
