"""The entries of a plan: scans, sub-pools, strategies, rules, what is annotated, the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

RANDOM = "random"
CEILING = "full supervision"
JOIN = "+"
"""Between the strategy of a first batch and the rule that goes on from it: ``coverage+entropy``."""
ROUND_ENTRIES = ("rounds", "queries", "restart", "members")
"""Entries that only a plan with rounds has."""
Scalar = bool | int | float | str


class Part(BaseModel):
    """Base of every entry: frozen, and no names but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scans(Part):
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


class SubPools(Part):
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


class Every(Part):
    """Annotate every so manyth slice instead of whole scans."""

    every: int = Field(ge=1)


class Share(Part):
    """A test set cut from the pool: ``fraction`` of its groups, drawn with ``seed``; a patient is never split."""

    fraction: float = Field(gt=0, lt=1)
    seed: int = Field(0, ge=0)
    group_by: str = "patient"


Annotation = Literal["whole"] | Every


def annotations(value: Any) -> Any:
    """Return one annotation, or several, as a list."""
    return [value] if isinstance(value, str | dict) else value


class StrategyEntry(Part):
    """One strategy with its ``options``; ``label`` tells two entries of one strategy apart.

    ``region`` and ``preset`` replace the study's own for the features of this entry; ``features`` names the feature
    groups that it sees, and ``annotation`` what is annotated of its picks, where these are not the study's own.
    """

    name: str
    label: str
    region: Literal["foreground", "all"] | None = None
    preset: Literal["fast", "paper", "instant"] | None = None
    features: tuple[str, ...] = ()
    annotation: Annotated[tuple[Annotation, ...], BeforeValidator(annotations)] = ()
    options: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        """Read ``cscs`` or ``{name: cscs, label: x, thin_strata: score}``."""
        return _from_short(value, cls.model_fields)


class QueryEntry(Part):
    """One query rule with its ``options``; ``label`` tells two entries of one rule apart.

    ``features`` names the feature groups that it sees, where these are not the rule's own.
    """

    name: str
    label: str
    features: tuple[str, ...] = ()
    options: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: Any) -> Any:
        """Read ``entropy`` or ``{name: entropy, label: x, aggregate: boundary}``."""
        return _from_short(value, cls.model_fields)


def _from_short(value: Any, own_fields: Mapping[str, Any]) -> Any:
    """Return an entry with its options gathered, and its name as label where it has none."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict) or "name" not in value:
        return value
    own = {k: v for k, v in value.items() if k in own_fields}
    extra = {k: v for k, v in value.items() if k not in own_fields}
    return {"label": value["name"], **own, "options": {**own.get("options", {}), **extra}}


class Segmenter(Part):
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


class Expected(Part):
    """How many scans the study that a plan repeats had, before a test set is cut off; another number is refused."""

    scans: int = Field(ge=1)
    because: str = ""
