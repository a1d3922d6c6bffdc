"""Self-supervised pretraining and extraction: the only home of torch and MONAI besides `segmentation`."""

from __future__ import annotations

from .batches import CropSource
from .extract import CaseFeatures, Extractor
from .nodes import Together, together
from .presets import PRESETS, Preset, resolve_device, resolve_preset
from .pretrain import HistoryRow, Trained, pretrain
from .threads import cases_at_once, cpu_threads

__all__ = [
    "PRESETS",
    "CaseFeatures",
    "CropSource",
    "Extractor",
    "HistoryRow",
    "Preset",
    "Together",
    "Trained",
    "cases_at_once",
    "cpu_threads",
    "pretrain",
    "resolve_device",
    "resolve_preset",
    "together",
]
