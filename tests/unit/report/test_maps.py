import numpy as np
import pytest

from firstscan.report.charts.maps import FEWEST_FOR_TSNE, MOST_FOR_TSNE, drawn, pool_map


def blobs(n: int, dim: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    return rng.normal(size=(n, dim)) + 12 * np.eye(3, dim)[group], group


@pytest.mark.parametrize("n", [FEWEST_FOR_TSNE - 1, 120, MOST_FOR_TSNE + 1])
def test_groups_stay_apart(n: int) -> None:
    embeddings, group = blobs(n)
    laid_out = pool_map(embeddings)
    assert laid_out.method == ("t-SNE" if n == 120 else "PCA")
    centres = np.stack([laid_out.xy[group == g].mean(axis=0) for g in range(3)])
    nearest = np.linalg.norm(laid_out.xy[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == group).mean() > 0.95
    assert np.abs(laid_out.xy).max() == pytest.approx(1)


def test_same_embeddings_same_map() -> None:
    embeddings, _ = blobs(100)
    np.testing.assert_array_equal(pool_map(embeddings, seed=3).xy, pool_map(embeddings.copy(), seed=3).xy)


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (3, 1), (10, 1), (80, 1), (80, 2)])
def test_few_cases_or_columns(shape: tuple[int, int]) -> None:
    laid_out = pool_map(np.random.default_rng(0).normal(size=shape))
    assert laid_out.xy.shape == (shape[0], 2)
    assert np.isfinite(laid_out.xy).all()


def test_constant_embeddings() -> None:
    laid_out = pool_map(np.ones((70, 4)))
    assert np.isfinite(laid_out.xy).all()
    assert "nothing to tell them apart" in laid_out.caption


def test_scale_of_a_column_does_not_matter() -> None:
    embeddings, _ = blobs(40)
    np.testing.assert_allclose(pool_map(embeddings).xy, pool_map(embeddings * [1, 1e6, 1, 1, 1, 1, 1, 1]).xy, atol=2e-4)


def test_drawn_keeps_every_pick_and_the_limit() -> None:
    picked = np.zeros(1_000, dtype=bool)
    picked[[0, 17, 999]] = True
    mask = drawn(1_000, picked, 100)
    assert mask[picked].all()
    assert mask.sum() == 100
    assert drawn(50, picked[:50], 100).all()
