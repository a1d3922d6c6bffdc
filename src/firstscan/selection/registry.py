"""Which strategies there are: an explicit dict, and entry points for third parties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from firstscan.domain.errors import UsageError

from .protocol import Strategy
from .strategies.alps import Alps
from .strategies.calr import Calr
from .strategies.centroids import Centroids
from .strategies.coverage import Coverage
from .strategies.csal3d import Csal3d
from .strategies.cscs import Cscs
from .strategies.kcenter import KCenter
from .strategies.maxherding import MaxHerding
from .strategies.probcover import ProbCover
from .strategies.proportional import Proportional
from .strategies.random_ import Random
from .strategies.strided import Strided
from .strategies.typiclust import TypiClust
from .strategies.usl import Usl

ENTRY_POINT_GROUP = "firstscan.strategies"

DEFAULT_STRATEGY = "coverage"
"""By the rule in benchmarks/plans/evidence, which was written down before its scores were seen (docs/results.md)."""

BUILT_IN: dict[str, type[Strategy]] = {
    "cscs": Cscs,
    "random": Random,
    "strided": Strided,
    "kcenter": KCenter,
    "typiclust": TypiClust,
    "probcover": ProbCover,
    "csal3d": Csal3d,
    "calr": Calr,
    "alps": Alps,
    "usl": Usl,
    "maxherding": MaxHerding,
    "coverage": Coverage,
    "proportional": Proportional,
    "centroids": Centroids,
}


def merge(built_in: Mapping[str, type[Strategy]], third_party: Iterable[EntryPoint]) -> dict[str, type[Strategy]]:
    """Return one registry of both; the entry point's name is the strategy's name.

    Raises
    ------
    UsageError : a name taken twice, or an entry point that does not lead to a strategy class.
    """
    registry = dict(built_in)
    for entry in third_party:
        if entry.name in registry:
            raise UsageError(
                f"strategy {entry.name!r} is registered twice: by {registry[entry.name].__module__} and by "
                f"{entry.value}; uninstall one of them"
            )
        registry[entry.name] = _loaded(entry)
    return registry


def _loaded(entry: EntryPoint) -> type[Strategy]:
    try:
        strategy = entry.load()
    except Exception as error:
        raise UsageError(
            f"strategy {entry.name!r} cannot be loaded from {entry.value}: {error}; repair or uninstall its package"
        ) from error
    if not (isinstance(strategy, type) and issubclass(strategy, Strategy)):
        raise UsageError(f"strategy {entry.name!r} ({entry.value}) is not a subclass of firstscan.selection.Strategy")
    return strategy


@cache
def registry() -> Mapping[str, type[Strategy]]:
    """Return every strategy by name: those of firstscan, then those of installed packages."""
    return merge(BUILT_IN, entry_points(group=ENTRY_POINT_GROUP))


def strategies() -> tuple[str, ...]:
    """Return the names of every strategy."""
    return tuple(registry())


def describe() -> dict[str, str]:
    """Return ``{name: one line}`` for every strategy."""
    return {name: strategy.summary for name, strategy in registry().items()}


def strategy_class(name: str) -> type[Strategy]:
    """Return the class of strategy ``name``.

    Raises
    ------
    UsageError : no strategy has that name; the message lists those there are.
    """
    known = registry()
    if name not in known:
        raise UsageError(f"unknown strategy {name!r}; choose one of: {', '.join(known)}")
    return known[name]
