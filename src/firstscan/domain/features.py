"""The feature table: one row a case, everything selection may know."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from .arrays import Embeddings, PerCase
from .case import repeated
from .errors import UsageError
from .slices import ScanGeometry

EMBEDDING = "embedding"
"""What ``embeddings`` are called among the feature groups."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Embeddings and signals of a pool, aligned by row and named by case id.

    Parameters
    ----------
    case_ids : (case,) unique strings.
    embeddings : (case, dim) float, finite.
    uncertainty : (case,) float, finite; U of METHOD §1 (any difficulty signal serves). None where it was not measured:
        strategies that choose by it then refuse.
    typicality : (case,) float, finite, or None: computed over the pool when a strategy needs it.
    covariates : columns of length ``case`` that should *not* drive selection (voxel count, site, …);
        used for the signal audit, for groups and for quotas, never shown to a strategy.
    groups : further features by name, (case, dim) float, finite: what ``--features`` chooses from besides
        ``embedding``, which names ``embeddings``.
    geometry : (case, 24) how scans are stored and where the patient is in them
        (:class:`firstscan.domain.slices.ScanGeometry`), or None: plans by slice need it, strategies never see it.

    Raises
    ------
    UsageError : unequal lengths, NaN or infinity, empty or duplicate ids, wrong number of dimensions.
    """

    case_ids: tuple[str, ...]
    embeddings: Embeddings
    uncertainty: PerCase | None
    typicality: PerCase | None = None
    covariates: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    groups: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    geometry: np.ndarray | None = None

    def __post_init__(self) -> None:
        ids = tuple(str(i) for i in self.case_ids)
        object.__setattr__(self, "case_ids", ids)
        if len(set(ids)) != len(ids):
            raise UsageError(f"case_ids must be unique; these appear twice: {', '.join(repeated(ids)[:5])}")
        if any(not i for i in ids):
            raise UsageError("case_ids must not be empty strings")
        n = len(ids)
        object.__setattr__(self, "embeddings", _checked("embeddings", self.embeddings, ids, ndim=2))
        if self.uncertainty is not None:
            object.__setattr__(self, "uncertainty", _checked("uncertainty", self.uncertainty, ids, ndim=1))
        if self.typicality is not None:
            object.__setattr__(self, "typicality", _checked("typicality", self.typicality, ids, ndim=1))
        if EMBEDDING in self.groups:
            raise UsageError(f"the name {EMBEDDING!r} is taken by the embeddings themselves; call the group otherwise")
        groups = {name: _checked(f"feature group {name!r}", v, ids, ndim=2) for name, v in self.groups.items()}
        object.__setattr__(self, "groups", MappingProxyType(groups))
        if self.geometry is not None:
            object.__setattr__(self, "geometry", _checked("geometry", self.geometry, ids, ndim=2))
        columns: dict[str, np.ndarray] = {}
        for name, column in self.covariates.items():
            values = np.asarray(column)
            if values.shape != (n,):
                raise UsageError(f"covariate {name!r} has shape {values.shape}; expected ({n},), one value a case")
            columns[name] = values
        object.__setattr__(self, "covariates", MappingProxyType(columns))

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def dim(self) -> int:
        """Number of embedding dimensions."""
        return int(self.embeddings.shape[1])

    def rows(self, index: Sequence[int] | np.ndarray) -> FeatureTable:
        """Return the table with only the rows ``index``, in that order."""
        rows = np.asarray(index, dtype=np.intp)
        return FeatureTable(
            case_ids=tuple(self.case_ids[i] for i in rows),
            embeddings=self.embeddings[rows],
            uncertainty=None if self.uncertainty is None else self.uncertainty[rows],
            typicality=None if self.typicality is None else self.typicality[rows],
            covariates={k: v[rows] for k, v in self.covariates.items()},
            groups={k: v[rows] for k, v in self.groups.items()},
            geometry=None if self.geometry is None else self.geometry[rows],
        )

    def geometry_of(self, case_id: str) -> ScanGeometry | None:
        """Return how a scan is stored, None where the table does not tell."""
        if self.geometry is None:
            return None
        return ScanGeometry.of(case_id, self.geometry[self.case_ids.index(case_id)].tolist())

    def only(self, case_ids: Collection[str]) -> FeatureTable:
        """Return the rows whose id is in ``case_ids``, in the table's order."""
        wanted = frozenset(case_ids)
        return self.rows([i for i, c in enumerate(self.case_ids) if c in wanted])


def _checked(name: str, values: object, ids: tuple[str, ...], *, ndim: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{name} must be numbers; found dtype {array.dtype}")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)  # squares of 300 overflow half precision
    if array.ndim != ndim:
        axes = "case, dim" if ndim == 2 else "case"
        raise UsageError(f"{name} must have {ndim} dimension(s) ({axes}); found shape {array.shape}")
    if array.shape[0] != len(ids):
        raise UsageError(f"{name} has {array.shape[0]} rows but there are {len(ids)} case_ids")
    if ndim == 2 and array.shape[1] == 0:
        raise UsageError(f"{name} has no columns")
    finite = np.isfinite(array)
    if not finite.all():
        bad = np.flatnonzero(~(finite if ndim == 1 else finite.all(axis=1)))
        named = ", ".join(ids[i] for i in bad[:5])
        raise UsageError(
            f"{name} holds NaN or infinity in {len(bad)} case(s): {named}; remove these cases or extract them again"
        )
    return array
