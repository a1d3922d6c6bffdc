"""Which query rules there are: an explicit dict, and entry points for third parties."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from firstscan.domain.errors import UsageError
from firstscan.selection.protocol import Strategy
from firstscan.selection.registry import merge
from firstscan.selection.strategies.coverage import Coverage
from firstscan.selection.strategies.random_ import Random

from .protocol import Query
from .rules.badge import Badge
from .rules.bald import Bald
from .rules.clasp import Clasp
from .rules.cscs_round import CscsRound
from .rules.curriculum import Curriculum
from .rules.entropy import Entropy
from .rules.herding import Herding
from .rules.margin import Margin
from .rules.power import PowerEntropy
from .rules.quire import Quire
from .rules.stochastic import Stochastic
from .rules.vaal import Vaal

ENTRY_POINT_GROUP = "firstscan.queries"

DEFAULT_RULE = "herding"
"""No run of firstscan has compared rules yet. With few labels published comparisons find coverage safer than plain
uncertainty (TypiClust, nnActive); herding is coverage as long as the model cannot tell scans apart (docs/next.md)."""

BUILT_IN: dict[str, type[Strategy]] = {
    "herding": Herding,
    "random": Random,
    "coverage": Coverage,
    "entropy": Entropy,
    "bald": Bald,
    "margin": Margin,
    "power-entropy": PowerEntropy,
    "clasp": Clasp,
    "badge": Badge,
    "quire": Quire,
    "vaal": Vaal,
    "curriculum": Curriculum,
    "stochastic": Stochastic,
    "cscs": CscsRound,
}
"""``random`` and ``coverage`` are the strategies of the same names: what every rule has to beat."""


@cache
def registry() -> Mapping[str, type[Strategy]]:
    """Return every rule by name: those of firstscan, then those of installed packages."""
    return merge(BUILT_IN, entry_points(group=ENTRY_POINT_GROUP))


def rules() -> dict[str, str]:
    """Return ``{name: one line}`` for every rule."""
    return {name: rule.summary for name, rule in registry().items()}


def rule_class(name: str) -> type[Strategy]:
    """Return the class of rule ``name``.

    Raises
    ------
    UsageError : no rule has that name; the message lists those there are.
    """
    known = registry()
    if name not in known:
        raise UsageError(f"unknown rule {name!r}; choose one of: {', '.join(known)}")
    return known[name]


def asks_a_model(rule: type[Strategy]) -> bool:
    """Tell whether a rule is shown predictions; ``random`` and ``coverage`` choose without."""
    return issubclass(rule, Query)
