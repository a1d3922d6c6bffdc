"""Feature groups → what a strategy sees: each group reduced, brought to one spread, and joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh

from firstscan.domain.arrays import Embeddings, Float
from firstscan.domain.errors import UsageError
from firstscan.domain.features import EMBEDDING, FeatureTable

from .geometry import standardise

COMPONENTS = 8
"""Leading components that a group keeps."""
DEFAULT = (EMBEDDING,)
_CONSTANT = 1e-9
_WIDE = 1024


@dataclass(frozen=True)
class Combined:
    """The table with the joined groups as its embeddings; ``used`` and ``constant`` name groups."""

    table: FeatureTable
    used: tuple[str, ...]
    constant: tuple[str, ...]


def combine(table: FeatureTable, names: Sequence[str], *, components: int = COMPONENTS) -> Combined:
    """Return what a strategy sees of the groups ``names``; ``("embedding",)`` is the table as it is.

    Columns are standardised, a group is reduced to its leading principal components, and scaled so that the mean
    squared distance of a scan from the middle of the pool is 1: every group counts alike, however many numbers it
    holds. A group that is the same in all scans says nothing and is left out.

    Parameters
    ----------
    table : rows in canonical order; the result depends on it in no other way than rounding.
    components : at most so many of each group.

    Raises
    ------
    UsageError : no group, one named twice, one that the table does not hold, or all of them constant.
    """
    asked = tuple(names)
    check_groups(table, asked)
    return Combined(table, asked, ()) if asked == DEFAULT else joined(table, asked, components=components)


def joined(table: FeatureTable, names: Sequence[str], *, components: int = COMPONENTS) -> Combined:
    """Return :func:`combine` for groups of ``table``, with the embedding alone reduced and scaled like any other.

    Raises
    ------
    UsageError : all of them constant.
    """
    asked = tuple(names)
    parts = {name: _reduced(group_of(table, name), components) for name in asked}
    used = tuple(name for name, part in parts.items() if part is not None)
    if not used and len(table) > 1:
        raise UsageError(
            f"the feature groups {', '.join(asked)} are the same in all {len(table)} scans: nothing tells them apart. "
            "Choose other --features, or look at the scans: are they copies of one?"
        )
    columns = [part for part in parts.values() if part is not None] or [np.zeros((len(table), 1))]
    constant = tuple(name for name in asked if name not in used)
    return Combined(replace(table, embeddings=np.concatenate(columns, axis=1)), used, constant)


def check_groups(table: FeatureTable, names: Sequence[str]) -> None:
    """Raise UsageError where ``names`` are not distinct groups of ``table``, naming those that there are."""
    there = (EMBEDDING, *table.groups)
    unknown = [n for n in names if n not in there]
    if not names or unknown or len(set(names)) != len(names):
        wrong = f"there is no feature group {', '.join(map(repr, unknown))}" if unknown else "name each group once"
        remedy = "" if table.groups else "; measure the others by running firstscan extract (0.3 or newer) again"
        raise UsageError(f"--features: {wrong}; there are: {', '.join(there)}{remedy}")


def group_of(table: FeatureTable, name: str) -> Embeddings:
    """Return one feature group (case, dim)."""
    return table.embeddings if name == EMBEDDING else table.groups[name]


def _reduced(group: Embeddings, components: int) -> Float[np.ndarray, "case component"] | None:
    """Return the leading principal components of the standardised group, scaled together; None where it is constant."""
    scaled = standardise(group.astype(np.float64))
    if not (np.abs(scaled) > _CONSTANT).any():
        return None
    leading = _leading(scaled, components)
    signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    scores = scaled @ (leading * np.where(signs == 0, 1, signs))
    reduced: np.ndarray = scores / np.sqrt((scores**2).sum(axis=1).mean())
    return reduced


def _leading(scaled: Float[np.ndarray, "case dim"], components: int) -> Float[np.ndarray, "dim component"]:
    """Return the leading principal directions; of a wide group, such as an encoder's, no more than these are found."""
    n, dim = scaled.shape
    if dim <= _WIDE:
        values, vectors = np.linalg.eigh(scaled.T @ scaled / n)
        return np.asarray(vectors[:, np.argsort(-values, kind="stable")[:components]])
    among_scans = n < dim
    gram = (scaled @ scaled.T if among_scans else scaled.T @ scaled) / n
    last = len(gram) - 1
    _, vectors = eigh(gram, subset_by_index=(max(0, last - components + 1), last))
    leading = np.asarray(vectors[:, ::-1])
    if among_scans:
        leading = scaled.T @ leading
        length = np.linalg.norm(leading, axis=0)
        leading = np.where(length > _CONSTANT * length.max(), leading / np.maximum(length, _CONSTANT), 0.0)
    return leading
