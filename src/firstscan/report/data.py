"""What a report is made of: plain, frozen data that the caller has gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from firstscan.domain.case import MetadataValue
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Selection

PLANES = ("axial", "coronal", "sagittal")

Thumbnail = UInt8[np.ndarray, "3 s s"]
"""Three square planes in the order of ``PLANES``, row 0 at the top, shown as they are."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One logged step of the pretext training: the total loss, its three parts, the learning rate."""

    step: int
    loss: float
    rotation: float
    inpainting: float
    consistency: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class SignalCorrelation:
    """Rank correlation of one signal with something that should not drive it.

    ``signal`` is ``"typicality"``, ``"uncertainty"`` or a component's name; ``covariate`` a column's name; ``rho`` and
    its interval ``low`` to ``high`` lie in [-1, 1]; ``flagged`` says that it explains more than the stated share.
    """

    signal: str
    covariate: str
    rho: float
    low: float
    high: float
    flagged: bool


@dataclass(frozen=True)
class Stability:
    """How often each case is picked when the selection is repeated on other seeds and resampled pools.

    ``frequency`` maps case id to the share of repeats in [0, 1]; ``mean_jaccard`` is the mean overlap in [0, 1].
    """

    repeats: int
    mean_jaccard: float
    frequency: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LearnedFeatures:
    """How embeddings and uncertainty were made, for the methods paragraph.

    ``encoder`` is ``"swin"``, ``"conv"`` or another name; ``crop_voxels`` the side of the cubic crop;
    ``spacing_mm`` the pool-wide isotropic spacing; ``masked_fraction`` in [0, 1]; ``window_voxels`` the side of a
    masked window; ``region`` is ``"foreground"`` or ``"all"``; ``checkpoint`` the name of given weights, if any;
    ``trained_steps`` is 0 where the network was not trained on the pool.
    """

    encoder: str
    crop_voxels: int
    spacing_mm: float
    masked_fraction: float
    window_voxels: int
    trained_steps: int
    views: int = 9
    region: str = "foreground"
    neighbours: int = 20
    parameters: int | None = None
    modality: str = ""
    channels: tuple[str, ...] = ()
    checkpoint: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows; parts that are absent are left out of the page, with a word on why.

    Parameters
    ----------
    selection : the picks, with diagnostics.
    features : the pool's feature table; ``typicality`` should be filled where the strategy computed it.
    source : what the user pointed at; only its last part is shown.
    scanned, left_out : numbers of scans found, and of those that the audit removed.
    findings : what the audit said.
    thumbnails : case id → three planes; ``cards.cases_shown`` names the cases worth having here.
    history : the pretext training, one row a logged step.
    settings : the resolved configuration, nested mappings of plain values.
    versions : package → version.
    learned : how the features were made; None where the user brought their own.
    stability, audit, advice : how sure we are; ``advice`` holds ready sentences, most important first.
    metadata : column → case id → value; shown only with ``show_metadata``.

    Raises
    ------
    UsageError : a pick that the feature table does not hold.
    """

    selection: Selection
    features: FeatureTable
    source: str
    scanned: int
    left_out: int
    findings: tuple[Finding, ...] = ()
    thumbnails: Mapping[str, Thumbnail] = field(default_factory=lambda: MappingProxyType({}))
    history: tuple[TrainingRow, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    learned: LearnedFeatures | None = None
    stability: Stability | None = None
    audit: tuple[SignalCorrelation, ...] | None = None
    advice: tuple[str, ...] = ()
    metadata: Mapping[str, Mapping[str, MetadataValue]] = field(default_factory=lambda: MappingProxyType({}))
    show_metadata: bool = False

    def __post_init__(self) -> None:
        known = frozenset(self.features.case_ids)
        unknown = [case_id for case_id in self.selection.case_ids if case_id not in known]
        if unknown:
            raise UsageError(
                f"the selection names {len(unknown)} case(s) that the feature table does not hold: "
                f"{', '.join(unknown[:5])}; give the table that the selection was made from"
            )
