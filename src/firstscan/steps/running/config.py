"""The settings of every step that change its result; how and where it runs is :class:`.run.Run`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from firstscan.domain.encoding import KINDS, described
from firstscan.domain.errors import UsageError
from firstscan.selection.registry import DEFAULT_STRATEGY
from firstscan.selection.slices.planning import (
    EVERY,
    MINUTES_PER_SCAN,
    MINUTES_PER_SLICE,
    Slicing,
    read_plane,
    read_range,
)

Modality = Literal["ct", "mr", "other"]
Region = Literal["foreground", "all"]
PresetName = Literal["auto", "fast", "paper", "instant"]
INSTANT = "instant"
"""The preset without a network."""
INSTANT_GROUPS = ("appearance", "texture", "shape")
"""The feature groups that preset ``instant`` measures."""
Scalar = bool | int | float | str
C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Base of every step's settings: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls: type[C], **values: Any) -> C:  # beartype cannot check Self on a single method
        """Return the settings.  Raises UsageError naming each wrong one as the command line spells it."""
        try:
            return cls(**values)
        except ValidationError as error:
            lines = [f"--{_named(e['loc'])}{_said(e)}" if e["loc"] else _plainly(e) for e in error.errors()]
            raise UsageError("\n".join(lines)) from error

    def resolved(self) -> dict[str, Any]:
        """Return the settings as plain data, for manifests and identities."""
        return self.model_dump(mode="json")


class TableConfig(Config):
    """More columns of the scans: a ``table`` with a column ``case_id``; what it says enters results by scan."""

    table: Path | None = None

    @field_validator("table")
    @classmethod
    def _absolute_table(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()


class IndexConfig(TableConfig):
    """Which scans: ``source`` a folder or table, ``layout`` how to read it, ``channel`` which channels (empty: all).

    ``only`` (``COLUMN=PATTERN``) leaves out what does not fit, by what the source tells of its scans or DICOM series.
    ``pseudonyms``: scans and their metadata get neutral names; None: where the source is DICOM.
    """

    source: str
    layout: str = "auto"
    channel: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    pseudonyms: bool | None = None

    @field_validator("source")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return str(Path(value).expanduser().absolute())


class SeverityConfig(Config):
    """How single kinds of findings are taken: ``severity`` maps codes to ``drop``, ``warn``, ``note`` or ``off``."""

    severity: Mapping[str, Literal["drop", "warn", "note", "off"]] = Field(default_factory=dict)


class CheckConfig(SeverityConfig):
    """How scans are read and judged.

    ``modality`` overrides what headers and intensities say; ``audit`` says how strictly findings are taken, and
    ``severity`` wins over it.
    """

    modality: Modality | None = None
    audit: Literal["strict", "normal", "off"] = "normal"


class PretrainConfig(Config):
    """How the network learns: ``train_steps`` overrides the preset's, ``checkpoint`` gives the first weights.

    Preset ``instant`` has no network: it measures the feature groups that need none.
    """

    preset: PresetName = "auto"
    seed: int = Field(default=42, ge=0, lt=2**32)
    train_steps: int | None = Field(default=None, ge=1)
    checkpoint: Path | None = None

    @field_validator("checkpoint")
    @classmethod
    def _exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @model_validator(mode="after")
    def _network_there(self) -> PretrainConfig:
        asked = {"train-steps": self.train_steps, "checkpoint": self.checkpoint}
        given = next((name for name, value in asked.items() if value is not None), None)
        if self.preset == INSTANT and given is not None:
            raise ValueError(f"--{given} is about the network, and --preset instant uses none; take --preset fast")
        return self

    @property
    def first_weights(self) -> Path | None:
        """The file that training starts from."""
        return self.checkpoint


class ExtractConfig(Config):
    """Where signals are averaged: over the patient (``foreground``) or the whole cube, air included (``all``).

    ``encoder`` names a pretrained one, whose embeddings become a feature group of that name; ``checkpoint`` are then
    its weights. ``input_size``, ``spacing`` and ``window`` describe its input, where that is not the publisher's.
    """

    region: Region = "foreground"
    encoder: str | None = None
    input_size: str | None = None
    spacing: str | None = None
    window: str | None = None

    @property
    def weights(self) -> Path | None:
        """The encoder's weights, if one is named."""
        return None if self.encoder is None else getattr(self, "checkpoint", None)

    @model_validator(mode="after")
    def _encoding(self) -> ExtractConfig:
        if self.encoder is None:
            asked = {"input-size": self.input_size, "spacing": self.spacing, "window": self.window}
            given = next((name for name, value in asked.items() if value is not None), None)
            if given is not None:
                raise ValueError(f"--{given} describes the input of an encoder; name it with --encoder")
            return self
        if self.encoder not in KINDS:
            raise ValueError(f"--encoder {self.encoder}: there is no such encoder; there are: {', '.join(KINDS)}")
        if self.weights is None:
            raise ValueError(f"--encoder {self.encoder} needs its weights: --checkpoint FILE (docs/encoders.md)")
        described(KINDS[self.encoder], self.input_size, self.spacing, self.window)
        return self


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


class IndexCommand(IndexConfig, SeverityConfig):
    """Settings of ``firstscan index``."""


class CheckCommand(IndexCommand, CheckConfig):
    """Settings of ``firstscan check``."""


class PretrainCommand(CheckCommand, PretrainConfig):
    """Settings of ``firstscan pretrain``."""


class ExtractCommand(PretrainCommand, ExtractConfig):
    """Settings of ``firstscan extract``."""

    @model_validator(mode="after")
    def _in_the_foreground(self) -> ExtractCommand:
        if self.preset == INSTANT and self.region != "foreground":
            raise ValueError("--region all is about signals of the network, and --preset instant uses none")
        if self.preset == INSTANT and self.encoder is not None:
            raise ValueError("--encoder goes with the presets that use a network; take --preset fast")
        return self

    @property
    def first_weights(self) -> Path | None:
        """The file that training starts from; with an encoder, ``checkpoint`` is the encoder's."""
        return self.checkpoint if self.encoder is None else None


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


def _named(place: tuple[Any, ...]) -> str:
    """Return an option as it is typed: ``seed `` or, where it names something, ``severity duplicate=``."""
    option = str(place[0]).replace("_", "-")
    return f"{option} {place[1]}=" if len(place) > 1 and isinstance(place[1], str) else f"{option} "


def _said(error: Any) -> str:
    found = error["input"]
    return _plainly(error) if isinstance(found, dict) else f"{found}: {_plainly(error)}"


def _plainly(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
