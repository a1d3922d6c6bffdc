"""Constraints hold for every strategy, and are called impossible exactly when they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import Candidates, Constraints, Gate, Outcome, Quota, Strategy, registry, select
from firstscan.selection.registry import BUILT_IN

SITES = ("a", "b", "c")
QUICK = settings(max_examples=20, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Backwards(Strategy):
    """A strategy of a third party, which knows nothing of constraints."""

    name: ClassVar[str] = "backwards"
    summary: ClassVar[str] = "the last scans first"
    reference: ClassVar[str] = ""
    uses_uncertainty: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        while gate.has_room():
            gate.take_first(range(len(candidates) - 1, -1, -1), "last scan left")
        return Outcome()


EVERY = {**BUILT_IN, Backwards.name: Backwards}


@pytest.fixture(autouse=True, scope="module")
def third_party():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "registry", lambda: EVERY)
        yield


@st.composite
def problems(draw, largest=9):
    """Plain values only: the run-time checks of our own classes draw random numbers, which Hypothesis forbids here."""
    n = draw(st.integers(2, largest))
    return {
        "n": n,
        "seed": draw(st.integers(0, 10_000)),
        "patient": [f"p{draw(st.integers(0, n - 1))}" for _ in range(n)],
        "site": [draw(st.sampled_from(SITES)) for _ in range(n)],
        "sex": [draw(st.sampled_from(("f", "m", ""))) for _ in range(n)],
        "minutes": [draw(st.integers(1, 9)) for _ in range(n)],
        "roles": [draw(st.sampled_from(("", "", "", "exclude", "include", "labelled"))) for _ in range(n)],
        "bounds": {
            group: (draw(st.integers(0, 3)), draw(st.sampled_from((None, 0, 1, 2))))
            for group in ("a", "f")
            if draw(st.booleans())
        },
        "group_by": draw(st.sampled_from(((), ("patient",)))),
        "limit": draw(st.one_of(st.none(), st.integers(1, 40))),
        "budget": draw(st.integers(1, n)),
    }


def build(problem) -> tuple[FeatureTable, Constraints]:
    n, rng = problem["n"], np.random.default_rng(problem["seed"])
    ids = tuple(f"c{i}" for i in range(n))
    columns = {name: np.array(problem[name]) for name in ("patient", "site", "sex", "minutes")}
    embeddings = rng.integers(0, 3, size=(n, 2)).astype(float)
    kept = [i for i in range(n) if problem["roles"][i] != "exclude"]
    embeddings[kept[:1]] = 5.0  # not all alike: that is refused
    table = FeatureTable(ids, embeddings, rng.random(n), covariates=columns)
    named = {
        role: tuple(c for c, r in zip(ids, problem["roles"], strict=True) if r == role)
        for role in ("exclude", "include", "labelled")
    }
    quotas = [
        Quota(column, group, low, None if more is None else low + more)
        for column in ("site", "sex")
        for group, (low, more) in problem["bounds"].items()
        if group in columns[column][kept]
    ]
    timed = problem["limit"] is not None
    limits = Constraints(
        **named,
        group_by=problem["group_by"],
        quotas=tuple(quotas),
        cost_column="minutes" if timed else None,
        minutes=problem["limit"],
    )
    return table, limits


def obeys(table: FeatureTable, limits: Constraints, picks: tuple[str, ...]) -> bool:
    row = {c: i for i, c in enumerate(table.case_ids)}
    annotated = [*picks, *limits.labelled]
    if set(picks) & {*limits.exclude, *limits.labelled} or not set(limits.include) <= set(picks):
        return False
    for column in limits.group_by:
        of_labelled = {table.covariates[column][row[c]] for c in limits.labelled}
        of_picks = [table.covariates[column][row[c]] for c in picks]
        if len(set(of_picks)) < len(of_picks) or of_labelled & set(of_picks):
            return False
    for quota in limits.quotas:
        members = [c for c in annotated if table.covariates[quota.column][row[c]] == quota.group]
        new = sum(c in picks for c in members)
        if len(members) < quota.minimum or (quota.maximum is not None and new and len(members) > quota.maximum):
            return False
    return limits.minutes is None or sum(table.covariates["minutes"][row[c]] for c in picks) <= limits.minutes


@pytest.mark.parametrize("strategy", EVERY)
@given(problem=problems())
@QUICK
def test_every_strategy_obeys_or_the_batch_is_impossible(strategy, problem):
    table, limits = build(problem)
    budget = problem["budget"]
    free = [c for c in table.case_ids if c not in {*limits.exclude, *limits.labelled}]
    if not any(obeys(table, limits, batch) for batch in combinations(free, budget)):
        with pytest.raises(UsageError):
            select(table, budget, strategy, constraints=limits)
        return
    selection = select(table, budget, strategy, constraints=limits)
    assert len(set(selection.case_ids)) == budget
    assert obeys(table, limits, selection.case_ids)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), share=st.floats(0, 1), dim=st.integers(1, 5))
@settings(max_examples=25, deadline=None, derandomize=True)
@pytest.mark.parametrize("strategy", EVERY)
def test_exactly_b_distinct_cases_of_any_pool(strategy, seed, n, share, dim):
    rng = np.random.default_rng(seed)
    embeddings = rng.integers(0, rng.integers(1, 6), size=(n, dim)).astype(float)
    table = FeatureTable(tuple(f"c{i}" for i in range(n)), embeddings, rng.integers(0, 4, size=n).astype(float))
    budget = max(1, round(share * n))
    if len(np.unique(embeddings, axis=0)) == 1 and budget < n and EVERY[strategy].uses_embeddings:
        with pytest.raises(UsageError, match="are the same"):
            select(table, budget, strategy, seed)
        return
    selection = select(table, budget, strategy, seed)
    assert len(set(selection.case_ids)) == budget
    distinct = {tuple(embeddings[int(c[1:])]) for c in selection.case_ids}
    available = len(np.unique(embeddings, axis=0))
    assert len(distinct) == min(budget, available), "a scan was picked again while others were left"
    assert Counter(p.rank for p in selection) == Counter(range(1, budget + 1))
