"""Self-supervised pretraining and extraction: the only home of torch and MONAI besides `segmentation`."""

from __future__ import annotations

from .batches import CropSource
from .encoders import encoder_dim
from .extract import GPU_BATCH, CaseFeatures, Extractor, cases_at_once
from .network import PARTS
from .nodes import Together, together
from .presets import PRESETS, Preset, resolve_device, resolve_preset
from .pretrain import HistoryRow, Trained, pretrain

__all__ = [
    "GPU_BATCH",
    "PARTS",
    "PRESETS",
    "CaseFeatures",
    "CropSource",
    "Extractor",
    "HistoryRow",
    "Preset",
    "Together",
    "Trained",
    "cases_at_once",
    "encoder_dim",
    "pretrain",
    "resolve_device",
    "resolve_preset",
    "together",
]
