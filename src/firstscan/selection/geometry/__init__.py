"""Distances, neighbours and k-means: scikit-learn where exactness is cheap, FAISS above. Never an N×N matrix."""

from __future__ import annotations

from .clusters import Clusters, birch, kmeans
from .distances import (
    balls,
    nearest_of_other_group,
    pairwise_distances,
    refuse_pairwise,
    squared_distances,
    squared_distances_to,
    standardise,
    twin_groups,
    unit_length,
)
from .neighbours import Density, Neighbours, near_duplicate_groups, nearest, typicality

__all__ = [
    "Clusters",
    "Density",
    "Neighbours",
    "balls",
    "birch",
    "kmeans",
    "near_duplicate_groups",
    "nearest",
    "nearest_of_other_group",
    "pairwise_distances",
    "refuse_pairwise",
    "squared_distances",
    "squared_distances_to",
    "standardise",
    "twin_groups",
    "typicality",
    "unit_length",
]
