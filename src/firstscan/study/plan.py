"""A study as its author writes it: one YAML file, every name checked before any work begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from firstscan.domain.errors import UsageError

from .entries import (
    CEILING,
    JOIN,
    RANDOM,
    ROUND_ENTRIES,
    Annotation,
    Budget,
    Every,
    Expected,
    Part,
    PoolScans,
    QueryEntry,
    Scans,
    Segmenter,
    Share,
    StrategyEntry,
    SubPools,
    annotations,
)

__all__ = [
    "CEILING",
    "JOIN",
    "RANDOM",
    "ROUND_ENTRIES",
    "Annotation",
    "Every",
    "Plan",
    "PoolScans",
    "QueryEntry",
    "Scans",
    "Share",
    "StrategyEntry",
    "SubPools",
    "plan_of",
    "read_plan",
]


class Plan(Part):
    """A study: which scans, which strategies, which budgets, how often, and how they are trained on.

    With ``rounds`` in the place of ``budgets``, every strategy chooses the first ``rounds[0]`` scans, and each of
    ``queries`` goes on from there with as many scans a round as ``rounds`` says. Before a rule chooses, ``members``
    networks are trained on what is labelled so far and predict the rest; ``restart`` says whether a round's training
    begins anew (``cold``) or from the weights of the round before (``warm``).
    """

    pool: PoolScans
    test: Scans | Share
    budgets: tuple[Budget, ...] = ()
    rounds: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)] | None = None
    queries: tuple[QueryEntry, ...] = ()
    restart: Literal["cold", "warm"] = "cold"
    members: int = Field(3, ge=1)
    strategies: tuple[StrategyEntry, ...] = Field(min_length=1)
    selection_seeds: Mapping[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=lambda: {RANDOM: 15, "default": 3}
    )
    training_seeds: int = Field(1, ge=1)
    pools: SubPools | None = None
    random_draws: int = Field(3, ge=1)
    annotation: Annotated[tuple[Annotation, ...], BeforeValidator(annotations)] = Field(("whole",), min_length=1)
    expects: Expected | None = None
    segmenter: Segmenter = Field(default_factory=Segmenter)
    preset: Literal["auto", "fast", "paper", "instant"] = "auto"
    region: Literal["foreground", "all"] = "foreground"
    seed: int = Field(42, ge=0, lt=2**32)
    train_steps: int | None = Field(None, ge=1)
    channel: tuple[str, ...] = ()
    classes: Mapping[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    tolerance_mm: float = Field(1.0, gt=0)
    ceiling: bool = False
    name: str = "study"

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Leave what is about rounds out of a plan without them: it is told, and known, as it was before there were."""
        told: dict[str, Any] = handler(self)
        return told if self.rounds is not None else {k: v for k, v in told.items() if k not in ROUND_ENTRIES}

    @field_validator("queries")
    @classmethod
    def _rules_differ(cls, value: tuple[QueryEntry, ...]) -> tuple[QueryEntry, ...]:
        labels = [q.label for q in value]
        if twice := sorted({x for x in labels if labels.count(x) > 1}):
            raise ValueError(f"two rules are called {', '.join(twice)}; give each a label of its own")
        if posing := next((q.name for q in value if q.label == RANDOM != q.name), None):
            raise ValueError(f"the label {RANDOM!r} is what all else is compared with; give {posing} another")
        return value

    @field_validator("strategies")
    @classmethod
    def _labels_differ(cls, value: tuple[StrategyEntry, ...]) -> tuple[StrategyEntry, ...]:
        labels = [s.label for s in value]
        twice = sorted({x for x in labels if labels.count(x) > 1})
        if twice:
            raise ValueError(f"two strategies are called {', '.join(twice)}; give each a label of its own")
        if CEILING in labels:
            raise ValueError(f"the label {CEILING!r} is taken by the ceiling")
        if posing := next((s.name for s in value if s.label == RANDOM != s.name), None):
            raise ValueError(f"the label {RANDOM!r} is what all else is compared with; give {posing} another")
        return value

    @model_validator(mode="after")
    def _seeds_are_for_someone(self) -> Plan:
        known = {"default", RANDOM, *(s.label for s in self.strategies), *(s.name for s in self.strategies)}
        if unknown := sorted(set(self.selection_seeds) - known):
            raise ValueError(f"selection_seeds names {', '.join(unknown)}, which is no strategy of this plan")
        return self

    @model_validator(mode="after")
    def _budgets_or_rounds(self) -> Plan:
        if self.rounds is None:
            if not self.budgets:
                raise ValueError(
                    "give budgets, such as [3, 5, 10], or rounds, such as [3, 3, 6], with queries: [random]"
                )
            given = [name for name in ROUND_ENTRIES if name in self.model_fields_set - {"rounds"}]
            if given:
                raise ValueError(f"{', '.join(given)}: only for plans with rounds, such as rounds: [3, 3, 6]")
            return self
        if self.budgets:
            raise ValueError("budgets and rounds cannot both be given: rounds [3, 3, 6] end at 3, 6 and 12 labels")
        if not self.queries:
            raise ValueError("a plan with rounds needs queries: the rules that choose after the first batch")
        labels = [*(s.label for s in self.strategies), *(q.label for q in self.queries)]
        if taken := [label for label in labels if JOIN in label]:
            raise ValueError(f"{', '.join(taken)}: a label cannot hold {JOIN!r}, which joins strategy and rule")
        return self

    def seeds_of(self, entry: StrategyEntry) -> int:
        """Return how many selection seeds an entry gets: by its label, its strategy, or ``default``.

        In every sub-pool a strategy chooses once, and random ``random_draws`` times; with rounds, every first batch is
        chosen once in it.
        """
        if self.pools is not None and self.rounds is not None:
            return 1
        if self.pools is not None:
            return self.random_draws if entry.name == RANDOM else 1
        for key in (entry.label, entry.name, "default"):
            if key in self.selection_seeds:
                return int(self.selection_seeds[key])
        return 15 if entry.name == RANDOM else 3

    def draws_of(self, query: QueryEntry) -> int:
        """Return how often a rule goes on from each first batch: ``random_draws`` times at random, others once."""
        return self.random_draws if query.name == RANDOM else 1

    def annotations_of(self, entry: StrategyEntry) -> tuple[Annotation, ...]:
        """Return what is annotated of the picks of an entry."""
        return entry.annotation or self.annotation

    def budgets_for(self, cases: int) -> tuple[int, ...]:
        """Return the budgets as numbers for a pool of ``cases``, increasing, shares rounded to the nearest case.

        With rounds: how many are labelled after each.
        """
        if self.rounds is not None:
            return tuple(accumulate(self.rounds))
        numbers = {b if isinstance(b, int) else max(1, int(float(b[:-1]) / 100 * cases + 0.5)) for b in self.budgets}
        return tuple(sorted(numbers))


def read_plan(path: Path) -> Plan:
    """Read a plan; relative folders are taken from the current folder, or from the plan's where they exist there.

    Raises
    ------
    UsageError : no such file, no YAML, unknown or wrong entries; the message names each.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no plan; it needs at least pool, test, strategies, and budgets or rounds")
    for part in ("pool", "test"):
        if isinstance(content.get(part), dict):
            content[part] = {k: _placed(path, k, v) for k, v in content[part].items()}
    return plan_of({"name": path.stem, **content})


def plan_of(content: Mapping[str, Any]) -> Plan:
    """Return the plan that ``content`` describes.  Raises UsageError naming each wrong entry."""
    try:
        return Plan(**content)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc']))}: {str(e['msg']).removeprefix('Value error, ')}" for e in error.errors()
        ]
        known = ", ".join(Plan.model_fields)
        raise UsageError("the plan has mistakes:\n  " + "\n  ".join(lines) + f"\nEntries of a plan: {known}") from error


def _placed(plan: Path, key: str, value: Any) -> Any:
    if key not in {"source", "labels", "table"} or not isinstance(value, str):
        return value
    here, beside = Path(value).expanduser(), plan.parent / value
    return str((here if here.exists() or not beside.exists() else beside).absolute())
