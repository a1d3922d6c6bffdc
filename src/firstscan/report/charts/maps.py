"""Where each scan lies on the two-dimensional map of the pool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from firstscan.domain.arrays import Bool, Embeddings, Float

PoolMask = Bool[np.ndarray, " case"]

FEWEST_FOR_TSNE = 60
MOST_FOR_TSNE = 2_000
COMPONENTS_BEFORE_TSNE = 50


@dataclass(frozen=True, eq=False)
class PoolMap:
    """Coordinates ``xy`` (case, 2) without unit, how they were made, and a caption that says how to read them."""

    xy: Float[np.ndarray, "case 2"]
    method: str
    caption: str


def pool_map(embeddings: Embeddings, *, seed: int = 0) -> PoolMap:
    """Lay the pool out in two dimensions, the same way every time.

    Principal components where the pool is too small for t-SNE to mean anything or too large for it to be quick;
    t-SNE started from them in between. Columns are standardised first, as they are for the strata. One thread,
    because sums in another order would give another picture.

    References: van der Maaten & Hinton 2008 (t-SNE).
    """
    n = len(embeddings)
    with threadpool_limits(1):
        scaled = StandardScaler().fit_transform(np.asarray(embeddings, dtype=np.float64))
        if n < 3 or not np.any(scaled):
            xy = np.zeros((n, 2))
            xy[:, 0] = np.arange(n)
            return PoolMap(xy, "row", "The scans in a row: there is nothing to tell them apart by.")
        keep = min(COMPONENTS_BEFORE_TSNE, n - 1, scaled.shape[1])
        pca = PCA(n_components=keep, svd_solver="randomized" if keep < 20 else "auto", random_state=seed)
        components = _upright(pca.fit_transform(scaled))
        if not FEWEST_FOR_TSNE <= n <= MOST_FOR_TSNE or keep < 3:
            share = float(pca.explained_variance_ratio_[:2].sum())
            xy = components[:, :2] if keep > 1 else np.column_stack([components[:, 0], np.zeros(n)])
            caption = (
                "Scans that lie close together look alike by their features. The axes are the first two principal "
                f"components of the embeddings and hold {share:.0%} of their variance, so scans that differ in "
                "other ways may overlap here."
            )
            return PoolMap(_settled(xy), "PCA", caption)
        start = components[:, :2] / components[:, 0].std() * 1e-4
        tsne = TSNE(perplexity=min(30.0, (n - 1) / 4), init=start, learning_rate="auto", random_state=seed)
        xy = tsne.fit_transform(components.astype(np.float32)).astype(np.float64)
    caption = (
        "Scans that lie close together look alike by their features. The map is a t-SNE: neighbourhoods mean "
        "something, but the distance between far groups and the size of a group do not."
    )
    return PoolMap(_settled(xy), "t-SNE", caption)


def drawn(n: int, picked: PoolMask, most: int) -> PoolMask:
    """Return which of ``n`` cases to draw: every pick, and an even spread of the others up to ``most``."""
    if n <= most:
        return np.ones(n, dtype=bool)
    mask = picked.copy()
    others = np.flatnonzero(~picked)
    room = max(most - int(picked.sum()), 0)
    mask[others[np.linspace(0, len(others) - 1, min(room, len(others))).astype(np.intp)]] = True
    return mask


def _upright(components: Float[np.ndarray, "case k"]) -> Float[np.ndarray, "case k"]:
    """Turn each axis so that its longer tail points up: principal components have no sign of their own."""
    sign = np.sign((components**3).sum(axis=0))
    turned: np.ndarray = components * np.where(sign == 0, 1.0, sign)
    return turned


def _settled(xy: Float[np.ndarray, "case 2"]) -> Float[np.ndarray, "case 2"]:
    """Centre the map, scale it to about [-1, 1], and round it so that noise in the last digits does not show."""
    centred = xy - (xy.max(axis=0) + xy.min(axis=0)) / 2
    largest = np.abs(centred).max()
    settled: np.ndarray = np.round(centred / largest if largest > 0 else centred, 4)
    return settled
