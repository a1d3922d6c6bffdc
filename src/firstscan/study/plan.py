"""A study as its author writes it: one YAML file, every name checked before any work begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from firstscan.domain.errors import UsageError

RANDOM = "random"
CEILING = "full supervision"
Scalar = bool | int | float | str


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scans(_Part):
    """Scans with their label maps: two folders."""

    source: str
    labels: str


class PoolScans(Scans):
    """The scans to select from; ``table`` has more columns of them, joined by case id.

    ``part``: once the test set is cut off, whole groups are parted into two halves, the same for every study with the
    same ``part_seed``: on one, settings are developed, on the other they are confirmed, once.
    """

    table: Path | None = None
    part: Literal["all", "development", "confirmation"] = "all"
    part_seed: int = Field(0, ge=0)


class SubPools(_Part):
    """Resampled sub-pools, the unit of replication: ``draws`` of them, each a ``share`` of the pool's groups."""

    draws: int = Field(ge=2)
    share: float = Field(0.6, gt=0, le=1)
    seed: int = Field(0, ge=0)
    disjoint: bool = False

    @model_validator(mode="after")
    def _parts_fit(self) -> SubPools:
        if self.disjoint and self.draws * self.share > 1 + 1e-9:
            raise ValueError(f"{self.draws} disjoint sub-pools of {self.share:g} are more than the pool; lower one")
        return self


class Every(_Part):
    """Annotate every so manyth slice instead of whole scans."""

    every: int = Field(ge=1)


class Share(_Part):
    """A test set cut from the pool: ``fraction`` of its groups, drawn with ``seed``; a patient is never split."""

    fraction: float = Field(gt=0, lt=1)
    seed: int = Field(0, ge=0)
    group_by: str = "patient"


Annotation = Literal["whole"] | Every


def _annotations(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


class StrategyEntry(_Part):
    """One strategy with its ``options``; ``label`` tells two entries of one strategy apart.

    ``region`` and ``preset`` replace the study's own for the features of this entry; ``features`` names the feature
    groups that it sees, and ``annotation`` what is annotated of its picks, where these are not the study's own.
    """

    name: str
    label: str
    region: Literal["foreground", "all"] | None = None
    preset: Literal["fast", "paper", "instant"] | None = None
    features: tuple[str, ...] = ()
    annotation: Annotated[tuple[Annotation, ...], BeforeValidator(_annotations)] = ()
    options: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        """Read ``cscs`` or ``{name: cscs, label: x, thin_strata: score}``."""
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict) or "name" not in value:
            return value
        own = {k: v for k, v in value.items() if k in cls.model_fields}
        extra = {k: v for k, v in value.items() if k not in cls.model_fields}
        return {"label": value["name"], **own, "options": {**own.get("options", {}), **extra}}


class Segmenter(_Part):
    """The trainer and its options, flat as in ``{name: unet, iterations: 250}``."""

    name: str = "unet"
    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_flat(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and "options" not in value:
            return {"name": value.get("name", "unet"), "options": {k: v for k, v in value.items() if k != "name"}}
        return value


def _budget(value: Any) -> Any:
    if isinstance(value, str) and value.strip().endswith("%"):
        share = float(value.strip()[:-1])
        if not 0 < share <= 100:
            raise ValueError("a percentage lies above 0 and up to 100")
        return f"{share:g}%"
    if isinstance(value, bool | str):
        raise ValueError(f"a budget is a whole number, or a share such as 10%; found {value!r}")
    return value


Budget = Annotated[Annotated[int, Field(ge=1)] | str, BeforeValidator(_budget)]


class Expected(_Part):
    """How many scans the study that a plan repeats had, before a test set is cut off; another number is refused."""

    scans: int = Field(ge=1)
    because: str = ""


class Plan(_Part):
    """A study: which scans, which strategies, which budgets, how often, and how they are trained on."""

    pool: PoolScans
    test: Scans | Share
    budgets: tuple[Budget, ...] = Field(min_length=1)
    strategies: tuple[StrategyEntry, ...] = Field(min_length=1)
    selection_seeds: Mapping[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=lambda: {RANDOM: 15, "default": 3}
    )
    training_seeds: int = Field(1, ge=1)
    pools: SubPools | None = None
    random_draws: int = Field(3, ge=1)
    annotation: Annotated[tuple[Annotation, ...], BeforeValidator(_annotations)] = Field(("whole",), min_length=1)
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

    def seeds_of(self, entry: StrategyEntry) -> int:
        """Return how many selection seeds an entry gets: by its label, its strategy, or ``default``.

        In every sub-pool a strategy chooses once, and random ``random_draws`` times.
        """
        if self.pools is not None:
            return self.random_draws if entry.name == RANDOM else 1
        for key in (entry.label, entry.name, "default"):
            if key in self.selection_seeds:
                return int(self.selection_seeds[key])
        return 15 if entry.name == RANDOM else 3

    def annotations_of(self, entry: StrategyEntry) -> tuple[Annotation, ...]:
        """Return what is annotated of the picks of an entry."""
        return entry.annotation or self.annotation

    def budgets_for(self, cases: int) -> tuple[int, ...]:
        """Return the budgets as numbers for a pool of ``cases``, increasing, shares rounded to the nearest case."""
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
        raise UsageError(f"{path} holds no plan; it needs at least pool, test, budgets and strategies")
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
