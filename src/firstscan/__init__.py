"""Choose which 3D scans to annotate first.

>>> import firstscan as fs
>>> pool = fs.index("scans/")
>>> features = fs.extract(pool, preset="fast", seed=42)
>>> selection = fs.select(features, budget=10)
>>> selection.case_ids
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .domain.case import Case, Channel
    from .domain.errors import DataError, FirstscanError, UsageError
    from .domain.features import FeatureTable
    from .domain.finding import Finding
    from .domain.pool import Pool
    from .domain.selection import Pick, Selection
    from .domain.slices import PlannedSlices, SlicePlan
    from .selection import Constraints, Quota, select, strategies
    from .steps.main_job.api import extract, index, plan_slices
    from .store import read_features, read_selection, write_features

_HOMES = {
    "Case": "domain.case",
    "Channel": "domain.case",
    "Constraints": "selection",
    "DataError": "domain.errors",
    "FeatureTable": "domain.features",
    "Finding": "domain.finding",
    "FirstscanError": "domain.errors",
    "Pick": "domain.selection",
    "PlannedSlices": "domain.slices",
    "Pool": "domain.pool",
    "Quota": "selection",
    "Selection": "domain.selection",
    "SlicePlan": "domain.slices",
    "UsageError": "domain.errors",
    "extract": "steps.main_job.api",
    "index": "steps.main_job.api",
    "plan_slices": "steps.main_job.api",
    "read_features": "store",
    "read_selection": "steps.selecting.batch",
    "select": "selection",
    "strategies": "selection",
    "write_features": "store",
}

__all__ = [
    "Case",
    "Channel",
    "Constraints",
    "DataError",
    "FeatureTable",
    "Finding",
    "FirstscanError",
    "Pick",
    "PlannedSlices",
    "Pool",
    "Quota",
    "Selection",
    "SlicePlan",
    "UsageError",
    "__version__",
    "extract",
    "index",
    "plan_slices",
    "read_features",
    "read_selection",
    "select",
    "strategies",
    "write_features",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import firstscan`` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'firstscan' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
