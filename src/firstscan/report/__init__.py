"""The report: one self-contained HTML page that says which scans to annotate first, why, and how far to trust it."""

from .batch import Afterwards, Collection, GroupRow, HandOver, OtherChoice, ReviewEntry, Spread
from .cards import cases_shown
from .data import NO_NETWORK, LearnedFeatures, ReportData, SignalCorrelation, Stability, TrainingRow
from .page import render

__all__ = [
    "NO_NETWORK",
    "Afterwards",
    "Collection",
    "GroupRow",
    "HandOver",
    "LearnedFeatures",
    "OtherChoice",
    "ReportData",
    "ReviewEntry",
    "SignalCorrelation",
    "Spread",
    "Stability",
    "TrainingRow",
    "cases_shown",
    "render",
]
