"""K-means and BIRCH."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from firstscan.domain.arrays import Embeddings, Float, Int, Strata

from .parallel import side_by_side

Init = Literal["k-means++", "random"]
EXACT_COST = 3e8  # N·K·dim up to which full restarts in scikit-learn take seconds
START_PER_CLUSTER, START_ROUNDS = 16, 6
SAMPLE_PER_CLUSTER, SAMPLE_ROUNDS = 256, 8
FINAL_ROUNDS = 1
BLOCK = 4096
LARGEST_PLAIN_BIRCH = 10_000
WARD_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Clusters:
    """``labels`` (case,) from 0, ``centres`` (cluster, dim) and the sum of squared distances to them."""

    labels: Strata
    centres: Float[np.ndarray, "cluster dim"]
    inertia: float
    method: str


def kmeans(x: Embeddings, clusters: int, seed: int, restarts: int = 10, *, init: Init = "k-means++") -> Clusters:
    """Return the best of several k-means++ runs; some clusters may stay empty where cases coincide.

    Small pools: ``restarts`` full runs of scikit-learn, as published. Large ones: in float32, k-means++ on a sample
    by FAISS, refined on a larger sample and then on all cases. ``init="random"`` starts small pools from random cases.
    """
    if float(len(x)) * clusters * x.shape[1] <= EXACT_COST:
        return _full(x, clusters, seed, restarts, init)
    return _sampled(np.ascontiguousarray(x, dtype=np.float32), clusters, seed)


def _full(x: Embeddings, clusters: int, seed: int, restarts: int, init: Init) -> Clusters:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    model = KMeans(clusters, init=init, n_init=restarts, max_iter=300, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():  # cores would wait for each other more than they compute
        warnings.simplefilter("ignore", ConvergenceWarning)  # coinciding cases: callers fill empty clusters
        labels = model.fit_predict(x)
    return Clusters(labels, model.cluster_centers_, float(model.inertia_), f"scikit-learn, {restarts} restarts")


def _sampled(x: Float[np.ndarray, "case dim"], clusters: int, seed: int) -> Clusters:
    centres = _started(x, clusters, seed)
    few = SAMPLE_PER_CLUSTER * clusters
    if few < len(x):
        sample = x[np.sort(np.random.default_rng(seed).permutation(len(x))[:few])]
        centres = refined(sample, centres, SAMPLE_ROUNDS)
        centres = refined(x, centres, FINAL_ROUNDS)
    else:
        centres = refined(x, centres, SAMPLE_ROUNDS)
    labels = assigned(x, centres)
    return Clusters(labels, centres, _inertia(x, centres, labels), "k-means++ on a sample, finished on all cases")


def _started(x: Float[np.ndarray, "case dim"], clusters: int, seed: int) -> np.ndarray:
    """Return centres (cluster, dim) by k-means++ and a few rounds on a small sample.

    They are read from the index that trained them: FAISS and SimpleITK know ``std::vector<float>`` by one name, and
    whichever was imported last gives a vector its Python class, so that ``faiss.Kmeans`` cannot read its own.
    """
    import faiss

    settings = faiss.ClusteringParameters()
    settings.niter = START_ROUNDS
    settings.seed = seed % 2**31
    settings.max_points_per_centroid = START_PER_CLUSTER
    settings.min_points_per_centroid = 1
    settings.init_method = faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS
    index = faiss.IndexFlatL2(x.shape[1])
    faiss.Clustering(x.shape[1], clusters, settings).train(x, index)
    centres: np.ndarray = index.reconstruct_n(0, clusters)
    return centres


def refined(x: Float[np.ndarray, "case dim"], centres: Float[np.ndarray, "cluster dim"], rounds: int) -> np.ndarray:
    """Return the centres after ``rounds`` of Lloyd's algorithm; a centre that loses all its cases stays where it is."""
    from scipy.sparse import csr_array

    for _ in range(rounds):
        labels = assigned(x, centres)
        sizes = np.bincount(labels, minlength=len(centres))
        ones = np.ones(len(x), dtype=x.dtype)
        sums = csr_array((ones, (labels, np.arange(len(x)))), shape=(len(centres), len(x))) @ x
        centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres).astype(x.dtype)
    return centres


def assigned(x: Float[np.ndarray, "case dim"], centres: Float[np.ndarray, "cluster dim"]) -> Strata:
    """Return the nearest centre of every case (case,), by one matrix product a block."""
    half = np.einsum("ij,ij->i", centres, centres) / 2

    def assign(start: int) -> Strata:
        nearness = x[start : start + BLOCK] @ centres.T
        nearness -= half
        labels: Strata = nearness.argmax(axis=1)
        return labels

    starts = range(0, len(x), BLOCK)
    return np.concatenate(list(side_by_side(assign, starts) if len(starts) > 1 else map(assign, starts)))


def _inertia(x: Float[np.ndarray, "case dim"], centres: Float[np.ndarray, "cluster dim"], labels: Strata) -> float:
    inertia = 0.0
    for begin in range(0, len(x), BLOCK):
        rows = slice(begin, begin + BLOCK)
        difference = x[rows] - centres[labels[rows]]
        inertia += float(np.einsum("ij,ij->", difference, difference, dtype=np.float64))
    return inertia


def birch(x: Embeddings, clusters: int, threshold: float) -> Strata:
    """Return BIRCH labels (case,) from 0; fewer clusters than asked where there are too few distinct cases.

    The last step merges the leaves of the tree by Ward's method. Up to 10,000 leaves scikit-learn does that as
    published; above, SciPy does the same on distances from matrix products, in half the memory.
    """
    from sklearn.cluster import Birch
    from sklearn.exceptions import ConvergenceWarning

    if clusters == 1:
        return np.zeros(len(x), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer subclusters than clusters: callers fill up
        if len(x) <= LARGEST_PLAIN_BIRCH:
            return np.asarray(Birch(n_clusters=clusters, threshold=threshold).fit_predict(x), dtype=np.int64)
        tree = Birch(n_clusters=None, threshold=threshold).fit(x)
    leaves = np.asarray(tree.labels_, dtype=np.int64)
    return leaves if len(tree.subcluster_centers_) <= clusters else _ward(tree.subcluster_centers_, clusters)[leaves]


def _ward(x: Float[np.ndarray, "leaf dim"], clusters: int) -> Int[np.ndarray, " leaf"]:
    from scipy.cluster.hierarchy import fcluster, linkage

    x = x.astype(np.float64) - x.mean(axis=0)
    square = np.einsum("ij,ij->i", x, x)
    distances, done = np.empty(len(x) * (len(x) - 1) // 2), 0
    for start in range(0, len(x), WARD_BLOCK):
        products = x[start : start + WARD_BLOCK] @ x[start:].T
        for row, product in enumerate(products):  # the pairs of one case with those after it
            rest = square[start + row] + square[start + row + 1 :] - 2 * product[row + 1 :]
            distances[done : done + len(rest)] = np.sqrt(np.maximum(rest, 0))
            done += len(rest)
    merged: np.ndarray = fcluster(linkage(distances, "ward"), clusters, "maxclust").astype(np.int64) - 1
    return merged
