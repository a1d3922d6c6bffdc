"""The settings of a choice: which batch, which slices of it; and those of the command that does all in one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from firstscan.selection.registry import DEFAULT_STRATEGY
from firstscan.selection.slices.planning import MINUTES_PER_SCAN, MINUTES_PER_SLICE
from firstscan.selection.slices.settings import EVERY, Slicing, read_plane, read_range

from .config import INSTANT, INSTANT_GROUPS, Config, ExtractCommand, TableConfig

Scalar = bool | int | float | str


class SlicesConfig(Config):
    """Which slices of the picks: none of these, and whole scans are annotated.

    ``slices`` is a budget in slices of all scans together, ``every`` the distance between two of a scan (4 means every
    4th), ``least`` how many of a scan at least. ``range`` (``FROM:TO``, in mm from the top of a scan or in ``%`` of it)
    is where the target lies, ``slice_axis`` the plane instead of the one that scans were acquired in.
    ``minutes_per_scan`` and ``minutes_per_slice`` are what annotating is taken to cost.
    """

    slices: int | None = Field(default=None, ge=1)
    every: int | None = Field(default=None, ge=1)
    least: int = Field(default=1, ge=1)
    range: str | None = None
    slice_axis: str | None = None
    minutes_per_scan: float = Field(default=MINUTES_PER_SCAN, ge=0)
    minutes_per_slice: float = Field(default=MINUTES_PER_SLICE, gt=0)

    @property
    def slicing(self) -> Slicing | None:
        """How slices are planned; None where whole scans are annotated."""
        if self.slices is None and self.every is None:
            return None
        return Slicing(
            every=EVERY if self.every is None else self.every,
            least=self.least,
            plane=None if self.slice_axis is None else read_plane(self.slice_axis),
            within=None if self.range is None else read_range(self.range),
        )

    @model_validator(mode="after")
    def _sliced(self) -> SlicesConfig:
        if self.slicing is None:
            asked = {"least": self.least > 1, "range": self.range, "slice-axis": self.slice_axis}
            given = next((name for name, value in asked.items() if value), None)
            if given is not None:
                raise ValueError(
                    f"--{given} is about slices, and whole scans are asked for; add --every K, or say --slices S "
                    "instead of --budget B"
                )
        return self


class PickConfig(TableConfig, SlicesConfig):
    """Which batch: ``budget`` scans, or as many as ``slices`` slices are spread over.

    ``exclude``, ``include`` and ``labelled`` hold ids; at most one scan a value of ``group_by`` is picked.
    ``quota`` (``COLUMN=GROUP:MIN-MAX``, either number may be missing) bounds the scans of a group; ``minutes`` bounds
    the sum of ``cost_column`` or, without one, of minutes per scan and per slice. ``features`` names the feature groups
    that the strategy sees. ``adjust`` takes columns off the signals, ``stability`` repeats the choice so often, and
    ``option`` holds further parameters of the strategy by name.
    """

    budget: int | None = None
    strategy: str = DEFAULT_STRATEGY
    features: tuple[str, ...] = ()
    seed: int = Field(default=42, ge=0, lt=2**32)
    thin_strata: Literal["fill", "score"] | None = None
    option: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    quota: tuple[str, ...] = ()
    minutes: float | None = Field(default=None, gt=0)
    minutes_per_scan: float = Field(default=MINUTES_PER_SCAN, ge=0)
    minutes_per_slice: float = Field(default=MINUTES_PER_SLICE, ge=0)
    cost_column: str | None = None
    adjust: tuple[str, ...] = ()
    stability: int | None = Field(default=None, ge=2)

    @field_validator("quota")
    @classmethod
    def _quota(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_quota(text)
        return value

    @field_validator("budget")
    @classmethod
    def _at_least_one(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError("at least 1 scan has to be picked")
        return value

    @model_validator(mode="after")
    def _one_budget(self) -> PickConfig:
        if self.budget is None and self.slices is None:
            raise ValueError("say how much to annotate: --budget B scans, or --slices S slices")
        if self.budget is not None and self.slices is not None:
            raise ValueError(
                "--budget and --slices: one of them decides; with --budget add --every K to plan every K-th slice of "
                "each scan"
            )
        return self

    def strategy_options(self) -> dict[str, Any]:
        """Return the parameters of the strategy that were given."""
        thin = {} if self.thin_strata is None else {"thin_strata": self.thin_strata}
        return {**thin, **self.option}


class SelectCommand(ExtractCommand, PickConfig):
    """Settings of ``firstscan select``."""

    @model_validator(mode="after")
    def _groups_measured(self) -> SelectCommand:
        missing = [name for name in self.features if name not in INSTANT_GROUPS]
        if self.preset == INSTANT and missing:
            raise ValueError(
                f"--features {missing[0]}: --preset instant measures {', '.join(INSTANT_GROUPS)}; the groups embedding "
                "and positions need a network, as with --preset fast"
            )
        return self


def parse_quota(text: str) -> tuple[str, str, int, int | None]:
    """Return (column, group, minimum, maximum) of ``site=A:2-4``, ``site=A:2`` (at least) or ``site=A:-4`` (at most).

    ``site=*:1-`` bounds every group.

    Raises ValueError where it is not of that form.
    """
    found = re.fullmatch(r"([^=]+)=(.+):(\d*)(?:(-)(\d*))?", text)
    if found is None or not (found[3] or found[5]):
        raise ValueError("write COLUMN=GROUP:MIN-MAX, for example site=A:2-4, site=A:2, site=A:-4 or site=*:1")
    return found[1], found[2], int(found[3] or 0), int(found[5]) if found[5] else None
