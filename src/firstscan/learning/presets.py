"""Presets: every setting of pretraining and extraction that changes the result, frozen before a pool is seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from firstscan.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class Preset:
    """How signals are learnt and measured.

    ``size``, ``window`` in voxels; ``masked_fraction`` in (0, 1); ``steps`` optimiser steps of ``batch_size`` cases,
    each seen in two views; ``warmup`` share of the steps; ``patience``: stop when the mean loss of that share of the
    steps is not ``plateau`` (relative) below the share before.
    """

    name: str
    encoder: str
    size: int
    window: int
    steps: int
    batch_size: int
    learning_rate: float
    masked_fraction: float = 0.45
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    warmup: float = 0.05
    patience: float = 0.2
    plateau: float = 0.002


PRESETS: dict[str, Preset] = {
    "fast": Preset(name="fast", encoder="conv", size=48, window=8, steps=300, batch_size=8, learning_rate=5e-4),
    "paper": Preset(name="paper", encoder="swin", size=96, window=16, steps=10_000, batch_size=4, learning_rate=4e-4),
}


def resolve_preset(name: str, device: str = "auto") -> Preset:
    """Return the preset of that name; ``auto`` means ``paper`` where a GPU is used and ``fast`` elsewhere.

    Raises
    ------
    UsageError : the name is unknown.
    """
    if name == "auto":
        name = "paper" if resolve_device(device) == "cuda" else "fast"
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; known: auto, {', '.join(PRESETS)}")
    return PRESETS[name]


def resolve_device(device: str) -> str:
    """Return ``cuda``, ``mps`` or ``cpu``; ``auto`` takes the first one present.

    Raises
    ------
    UsageError : the device is unknown or not present on this machine.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return "cuda" if present["cuda"] else "cpu"
    kind = device.partition(":")[0]
    if kind not in present:
        raise UsageError(f"unknown device {device!r}; known: auto, {', '.join(present)}")
    if not present[kind]:
        raise UsageError(f"device {device!r} is not available on this machine; use --device cpu")
    return kind
