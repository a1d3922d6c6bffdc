"""The settings of every step that change its result; how and where it runs is :class:`.run.Run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from firstscan.domain.encoding import KINDS, described
from firstscan.domain.errors import UsageError

Modality = Literal["ct", "mr", "other"]
Region = Literal["foreground", "all"]
PresetName = Literal["auto", "fast", "paper", "instant"]
INSTANT = "instant"
"""The preset without a network."""
INSTANT_GROUPS = ("appearance", "texture", "shape")
"""The feature groups that preset ``instant`` measures."""
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


class CheckConfig(Config):
    """How scans are read and judged.

    ``modality`` overrides what headers and intensities say; ``audit`` says how strictly findings are taken, and
    ``severity`` (finding code → ``drop``, ``warn``, ``note`` or ``off``) wins over it.
    """

    modality: Modality | None = None
    audit: Literal["strict", "normal", "off"] = "normal"
    severity: Mapping[str, Literal["drop", "warn", "note", "off"]] = Field(default_factory=dict)


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


class CheckCommand(IndexConfig, CheckConfig):
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


def _named(place: tuple[Any, ...]) -> str:
    """Return an option as it is typed: ``seed `` or, where it names something, ``severity duplicate=``."""
    option = str(place[0]).replace("_", "-")
    return f"{option} {place[1]}=" if len(place) > 1 and isinstance(place[1], str) else f"{option} "


def _said(error: Any) -> str:
    found = error["input"]
    return _plainly(error) if isinstance(found, dict) else f"{found}: {_plainly(error)}"


def _plainly(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
