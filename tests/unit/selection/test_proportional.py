"""Strategy proportional: as many clusters as there are, and each its share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from firstscan.domain.features import FeatureTable
from firstscan.selection import Constraints, Quota, select
from firstscan.selection.geometry import standardise
from firstscan.selection.strategies.proportional import shares


def blobs(sizes=(30, 20, 10), seed=0) -> FeatureTable:
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(sizes)), sizes)
    x = np.eye(len(sizes), 4)[kinds] * 20 + rng.normal(size=(len(kinds), 4))
    ids = tuple(f"k{k}-{i:03d}" for i, k in enumerate(kinds))
    return FeatureTable(ids, x, rng.random(len(kinds)))


def kinds_of(selection) -> Counter[str]:
    return Counter(case_id.partition("-")[0] for case_id in selection.case_ids)


@pytest.mark.parametrize("sizes", [(30, 20, 10), (25, 25), (12, 12, 12, 12)])
def test_it_finds_how_many_clusters_there_are(sizes):
    selection = select(blobs(sizes), 6, "proportional")
    assert selection.diagnostics["n_clusters"] == len(sizes)
    assert selection.diagnostics["silhouette"] > 0.4
    assert sorted(Counter(selection.strata.values()).values(), reverse=True) == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (6, {"k0": 3, "k1": 2, "k2": 1}),
        (12, {"k0": 6, "k1": 4, "k2": 2}),
        (60, {"k0": 30, "k1": 20, "k2": 10}),
    ],
)
def test_picks_are_in_proportion_to_the_clusters(budget, expected):
    assert kinds_of(select(blobs(), budget, "proportional")) == expected


def plainly(x: np.ndarray, budget: int, seed: int) -> set[int]:
    """The published steps, one after the other: silhouette, medoids, largest remainders, farthest points."""
    found = {}
    for k in range(2, min(budget, 15) + 1):
        labels = KMeans(k, n_init=10, random_state=seed).fit_predict(x)
        found[k] = (silhouette_score(x, labels), labels)
    labels = found[max(found, key=lambda k: found[k][0])][1]
    clusters = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    extra = shares(np.array([len(c) for c in clusters]), budget - len(clusters))
    picked: set[int] = set()
    for rows, more in zip(clusters, extra, strict=True):
        apart = np.linalg.norm(x[rows][:, None] - x[rows][None], axis=2)
        mine = [int(apart.sum(axis=1).argmin())]
        for _ in range(more):
            mine.append(int(apart[:, mine].min(axis=1).argmax()))
        picked |= {int(rows[m]) for m in mine}
    return picked


@pytest.mark.parametrize("project", ["none", "tsne"])
@pytest.mark.parametrize("budget", [3, 7, 12])
def test_it_is_the_published_rule(budget, project):
    table = blobs((22, 17, 9), seed=3)
    x = standardise(table.embeddings)
    if project == "tsne":
        x = TSNE(perplexity=(len(x) - 1) / 3, init="pca", random_state=42).fit_transform(x).astype(float)
    chosen = select(table, budget, "proportional", project=project).case_ids
    assert {table.case_ids.index(c) for c in chosen} == plainly(x, budget, 42)


def test_medoids_come_first_the_largest_clusters_before_the_others():
    selection = select(blobs(), 12, "proportional")
    assert [c[:2] for c in selection.case_ids[:3]] == ["k0", "k1", "k2"]
    assert all(p.reason.startswith("in the middle of") for p in selection.picks[:3])
    assert all(p.reason.startswith("farthest") for p in selection.picks[3:])


def test_one_pick_is_the_middle_of_the_pool():
    table = blobs((20,))
    x = standardise(table.embeddings)
    apart = np.linalg.norm(x[:, None] - x[None], axis=2).sum(axis=1)
    assert select(table, 1, "proportional").case_ids == (table.case_ids[int(apart.argmin())],)


def test_scans_that_are_annotated_count_for_their_cluster():
    table = blobs()
    labelled = tuple(i for i in table.case_ids if i.startswith("k0"))[:3]
    selection = select(table, 3, "proportional", constraints=Constraints(labelled=labelled))
    assert kinds_of(selection) == {"k1": 2, "k2": 1}


def test_a_share_that_cannot_be_had_goes_to_others():
    table = blobs()
    kinds = np.array([i[:2] for i in table.case_ids])
    table = replace(table, covariates={"kind": kinds})
    selection = select(table, 6, "proportional", constraints=Constraints(quotas=(Quota("kind", "k0", 0, 1),)))
    assert kinds_of(selection)["k0"] == 1
    assert len(selection) == 6
    assert "others are used up" in selection.picks[-1].reason


def test_shares_are_largest_remainders():
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.integers(0, 30, rng.integers(1, 8))
        sizes[0] += 1
        total = int(rng.integers(0, sizes.sum() + 1))
        found = shares(sizes, total)
        exact = sizes * total / sizes.sum()
        assert found.sum() == total
        assert (found <= sizes).all()
        assert (np.abs(found - exact) < 1).all()
        up = found > np.floor(exact + 1e-9)
        remainders = exact - np.floor(exact + 1e-9)
        if up.any() and (~up).any():
            assert remainders[up].min() >= remainders[~up].max() - 1e-9
    assert shares(np.array([2, 3]), 9).tolist() == [2, 3]


def test_a_large_pool_shows_its_clusters_on_a_sample(monkeypatch):
    monkeypatch.setattr(import_module("firstscan.selection.strategies.proportional"), "SAMPLE", 90)
    selection = select(blobs((60, 40, 20)), 6, "proportional")
    assert selection.diagnostics["n_clusters"] == 3
    assert kinds_of(selection) == {"k0": 3, "k1": 2, "k2": 1}
