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

from .batch import Afterwards

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
    """How much of one signal something explains that should not drive it.

    ``signal`` is ``"typicality"``, ``"uncertainty"`` or a component's name; ``covariate`` a column's name; ``share`` of
    the ranks' variance, with its 95 % interval ``low`` to ``high``, in [0, 1]; ``rho`` in [-1, 1] gives the direction
    of a number and is None for categories, which have none; ``flagged`` says that the share is more than the stated
    one; ``remedy`` what to do then.
    """

    signal: str
    covariate: str
    share: float
    low: float
    high: float
    rho: float | None = None
    flagged: bool = False
    remedy: str = ""


@dataclass(frozen=True)
class Stability:
    """How often each case is picked when the selection is repeated on other seeds and resampled pools.

    ``frequency`` maps case id to the share of repeats in [0, 1]; ``mean_jaccard`` is the mean overlap of batches from
    resampled pools in [0, 1].
    """

    repeats: int
    mean_jaccard: float
    frequency: Mapping[str, float]


NO_NETWORK = "none"
"""The ``encoder`` of features that need no network."""


@dataclass(frozen=True, slots=True)
class LearnedFeatures:
    """How embeddings and uncertainty were made, for the methods paragraph.

    ``encoder`` is ``"swin"``, ``"conv"``, ``NO_NETWORK`` or another name; ``crop_voxels`` the side of the cubic crop;
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
    stability, audit : what the verdict rests on; the verdict itself is among the selection's diagnostics.
    stated_share : the share of a signal in [0, 1] from which ``audit`` flags.
    afterwards : other choices, groups, hand-offs and the review.
    metadata : column → case id → value; shown only with ``show_metadata``, and a person's name never.

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
    stated_share: float = 0.1
    afterwards: Afterwards = field(default_factory=Afterwards)
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
