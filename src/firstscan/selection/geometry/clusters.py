"""K-means and BIRCH."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Strata

EXACT_COST = 3e8  # N·K·dim up to which full restarts in scikit-learn take seconds
POLISH_ROUNDS = 8
SAMPLE_ROUNDS = 6
SAMPLE_PER_CLUSTER = 50


@dataclass(frozen=True, eq=False)
class Clusters:
    """``labels`` (case,) from 0, ``centres`` (cluster, dim) and the sum of squared distances to them."""

    labels: Strata
    centres: Float[np.ndarray, "cluster dim"]
    inertia: float
    method: str


def kmeans(x: Embeddings, clusters: int, seed: int, restarts: int = 10) -> Clusters:
    """Return the best of several k-means++ runs; some clusters may stay empty where cases coincide.

    Small pools: ``restarts`` full runs of scikit-learn, as published. Large ones: FAISS in float32, k-means++ on a
    sample, finished on all cases.
    """
    if float(len(x)) * clusters * x.shape[1] <= EXACT_COST:
        return _full(x, clusters, seed, restarts)
    return _sampled(np.ascontiguousarray(x, dtype=np.float32), clusters, seed)


def _full(x: Embeddings, clusters: int, seed: int, restarts: int) -> Clusters:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    model = KMeans(clusters, init="k-means++", n_init=restarts, max_iter=300, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # coinciding cases: callers fill empty clusters
        labels = model.fit_predict(x)
    return Clusters(labels, model.cluster_centers_, float(model.inertia_), f"scikit-learn, {restarts} restarts")


def _sampled(x: Float[np.ndarray, "case dim"], clusters: int, seed: int) -> Clusters:
    import faiss

    start = faiss.Kmeans(
        x.shape[1],
        clusters,
        niter=SAMPLE_ROUNDS,
        seed=seed % 2**31,
        max_points_per_centroid=SAMPLE_PER_CLUSTER,
        min_points_per_centroid=1,
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
    )
    start.train(x)
    model = faiss.Kmeans(
        x.shape[1],
        clusters,
        niter=POLISH_ROUNDS,
        max_points_per_centroid=max(256, 2_000_000 // clusters),
        min_points_per_centroid=1,
        seed=seed % 2**31,
    )
    model.train(x, init_centroids=start.centroids)
    squared, labels = model.index.search(x, 1)
    inertia = float(squared.sum(dtype=np.float64))
    return Clusters(
        labels[:, 0], np.asarray(model.centroids), inertia, "FAISS, k-means++ on a sample, finished on all cases"
    )


def birch(x: Embeddings, clusters: int, threshold: float) -> Strata:
    """Return BIRCH labels (case,) from 0; fewer clusters than asked where there are too few distinct cases."""
    from sklearn.cluster import Birch
    from sklearn.exceptions import ConvergenceWarning

    if clusters == 1:
        return np.zeros(len(x), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer subclusters than clusters: callers fill up
        labels = Birch(n_clusters=clusters, threshold=threshold).fit_predict(x)
    return np.asarray(labels, dtype=np.int64)
