"""Bootstrap intervals over test cases and draws, and where the variance comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.errors import UsageError

DrawsByCase = Float[np.ndarray, "draw case"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the bounds of its bootstrap interval at ``level`` (0.95 = 95 %)."""

    estimate: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Variances:
    """Variance of a strategy's mean score that selection seeds cause, and that training seeds cause.

    A component is NaN where it cannot be told: one seed of that kind only. With one training seed ``selection`` holds
    the noise of training, too.
    """

    selection: float
    training: float


def bootstrap_mean(
    scores: DrawsByCase, *, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Return the mean of ``scores`` (draw, case) with an interval over draws and cases, resampled independently."""
    values = _finite("scores", scores)
    draws, cases = values.shape
    by_case = _weights(rng, resamples, draws) @ values
    samples = np.einsum("bc,bc->b", by_case, _weights(rng, resamples, cases))
    return _percentile_interval(float(values.mean()), samples, level)


def bootstrap_difference(
    scores: DrawsByCase,
    reference: Float[np.ndarray, "reference_draw reference_case"],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return mean(scores) − mean(reference) with a bootstrap interval over test cases and draws.

    ``scores`` (draw, case) and ``reference`` (reference_draw, case) share their columns: one resample takes the same
    cases from both, and draws from each side on its own. A side with one draw contributes no draw variance, and one
    with few contributes too little, (n − 1)/n of it: the interval is too narrow there.

    Raises
    ------
    UsageError : different numbers of cases, no draw, NaN or infinity.
    """
    ours, theirs = _finite("scores", scores), _finite("reference", reference)
    if ours.shape[1] != theirs.shape[1]:
        raise UsageError(
            f"the two sides were scored on {ours.shape[1]} and {theirs.shape[1]} test cases; compare the same cases"
        )
    cases = _weights(rng, resamples, ours.shape[1])
    ours_by_case = _weights(rng, resamples, ours.shape[0]) @ ours
    theirs_by_case = _weights(rng, resamples, theirs.shape[0]) @ theirs
    samples = np.einsum("bc,bc->b", ours_by_case - theirs_by_case, cases)
    return _percentile_interval(float(ours.mean() - theirs.mean()), samples, level)


def variance_components(means: Float[np.ndarray, "selection_seed training_seed"]) -> Variances:
    """Split the variance of mean scores (selection_seed, training_seed) into its two causes.

    Training: mean over selections of the variance across training seeds. Selection: variance across selections of
    the mean over training seeds, less the share of training noise left in those means, at least 0.
    """
    selections, trainings = means.shape
    training = float(means.var(axis=1, ddof=1).mean()) if trainings > 1 else float("nan")
    if selections < 2:
        return Variances(selection=float("nan"), training=training)
    between = float(means.mean(axis=1).var(ddof=1))
    noise = training / trainings if trainings > 1 else 0.0
    return Variances(selection=max(between - noise, 0.0), training=training)


def _weights(rng: np.random.Generator, resamples: int, n: int) -> Float[np.ndarray, "resample n"]:
    """Return how often each of ``n`` items is drawn in each resample, divided by n (rows sum to 1)."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64) / n


def _percentile_interval(estimate: float, samples: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=float(low), high=float(high), level=level)


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if values.size == 0:
        raise UsageError(f"{name} is empty; at least one draw and one test case are needed")
    if not np.isfinite(values).all():
        raise UsageError(f"{name} holds NaN or infinity; leave failed cells out before comparing")
    return values
