"""A small U-Net for quick studies: patches, mixed foreground sampling, augmentation, about a minute on two cores."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field

from firstscan.domain.errors import DataError, UsageError
from firstscan.segmentation.aligning import read_laid_on
from firstscan.segmentation.dataset import ENDING, RawDataset, check_dataset, list_images, read_dataset
from firstscan.segmentation.grids import Grid, read_channels, write_labels
from firstscan.segmentation.protocol import Progress, silent
from firstscan.segmentation.standardise import Scale, labels_to_spacing, scale_of, to_spacing, working_spacing

from .draws import IGNORED, STRIDE, patch_of

WEIGHTS = "unet.pt"
SETTINGS = "unet.json"


class Unet(BaseModel, frozen=True, extra="forbid"):
    """Settings of the small U-Net; every one changes the result and none depends on the machine.

    ``largest_voxels`` bounds a scan's size after resampling, ``patch`` its patch along each axis, both in voxels;
    ``threads`` is a setting because sums on several threads round differently. Where only some slices are annotated,
    training takes ``sparse_factor`` times as many steps: sparse labels have to be trained out.
    """

    name: ClassVar[str] = "unet"
    execution: ClassVar[frozenset[str]] = frozenset({"device"})

    iterations: int = Field(250, ge=1, description="training steps")
    sparse_factor: float = Field(2.0, ge=1, description="training steps with ignored voxels, times iterations")
    batch_size: int = Field(2, ge=1, description="patches a step")
    patch: int = Field(64, ge=16, multiple_of=STRIDE, description="largest patch edge in voxels")
    largest_voxels: int = Field(600_000, ge=4096, description="voxels of a scan after resampling, at most")
    features: int = Field(16, ge=4, description="channels of the first stage; doubled at each of three poolings")
    learning_rate: float = Field(3e-3, gt=0, description="peak of the one-cycle schedule")
    foreground_share: float = Field(0.67, ge=0, le=1, description="share of patches centred on a labelled voxel")
    threads: int = Field(1, ge=1, description="threads of one training")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where it runs")

    @property
    def fills_machine(self) -> bool:
        """Not on a processor, where a training runs on ``threads`` threads."""
        return self.device != "cpu"

    def check(self) -> None:
        """Look for the GPU where one is asked for.  Raises UsageError where there is none."""
        if self.device == "cpu":
            return
        import torch

        if not torch.cuda.is_available():
            raise UsageError(
                "segmenter unet: device cuda, but torch finds no NVIDIA GPU on this machine; leave device out to train "
                "on the processor"
            )

    def load(self) -> None:
        """Import torch and MONAI."""
        from . import prediction, training  # noqa: F401

    def steps(self, *, sparse: bool) -> int:
        """Return the training steps for whole label maps, or for such with voxels that nobody annotated."""
        return round(self.iterations * (self.sparse_factor if sparse else 1.0))

    def versions(self) -> dict[str, str]:
        """Return nothing: it runs in this environment."""
        return {}

    def train(self, dataset: Path, model: Path, *, seed: int, progress: Progress = silent) -> None:
        """Train on every case of ``dataset`` and write ``unet.pt`` and ``unet.json`` into ``model``."""
        raw = read_dataset(dataset)
        absent = check_dataset(raw)
        model.mkdir(parents=True, exist_ok=True)
        from . import training

        cases, spacing, scales = _prepared(raw, self.largest_voxels)
        patch = patch_of([c[0].shape[1:] for c in cases], self.patch)
        with training.pinned(self.threads, seed):
            weights = training.fit(self, cases, len(raw.classes), patch, spacing, seed=seed, progress=progress)
        training.save(weights, model / WEIGHTS)
        settings = {
            "settings": self.model_dump(),
            "classes": dict(raw.classes),
            "channel_names": list(raw.channel_names),
            "spacing_mm": list(spacing),
            "scales": [asdict(s) for s in scales],
            "patch": list(patch),
            "absent_classes": list(absent),
            "seed": seed,
        }
        (model / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")

    def predict(self, model: Path, images: Path, out: Path, *, progress: Progress = silent) -> None:
        """Predict every scan of ``images`` on its own grid; sliding windows overlap by half, Gaussian weights."""
        from . import prediction, training

        told = read_settings(model / SETTINGS)
        scales = tuple(Scale(tuple(s["clip"]) if s["clip"] else None, s["mean"], s["std"]) for s in told["scales"])
        found = list_images(images, len(told["channel_names"]))
        values = np.array([0, *told["classes"].values()], dtype=np.int32)
        out.mkdir(parents=True, exist_ok=True)
        with training.pinned(self.threads, 0):
            network = training.load(self, model / WEIGHTS, len(scales), len(values))
            for i, (name, paths) in enumerate(found.items()):
                voxels, grid = read_channels(paths)
                ready = _standardised(voxels, grid, told["spacing_mm"], scales)
                winner = prediction.label(network, ready, told["patch"], grid.shape)
                write_labels(values[winner], grid, out / f"{name}{ENDING}")
                progress(i + 1, len(found), name)


def _prepared(
    raw: RawDataset, largest_voxels: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], tuple[float, ...], tuple[Scale, ...]]:
    """Return (channels, class indices) of each pick at the working spacing, that spacing, and the channel scales."""
    volumes = [read_channels(c.images) for c in raw.cases]
    lookup = np.zeros(max(raw.classes.values()) + 2, dtype=np.int64)
    for index, value in enumerate(raw.classes.values(), start=1):
        lookup[value] = index
    if raw.ignore is not None:
        lookup[raw.ignore] = IGNORED
    labels = [lookup[read_laid_on(c.label, grid)] for c, (_, grid) in zip(raw.cases, volumes, strict=True)]
    spacing = working_spacing([grid for _, grid in volumes], largest_voxels)
    inside = [v[:, m > 0] for (v, _), m in zip(volumes, labels, strict=True)]
    scales = tuple(
        scale_of(name, np.concatenate([values[i] for values in inside])) for i, name in enumerate(raw.channel_names)
    )
    cases = [
        (
            _standardised(voxels, grid, spacing, scales),
            labels_to_spacing(label, grid.spacing_mm, spacing, ignored=IGNORED),
        )
        for (voxels, grid), label in zip(volumes, labels, strict=True)
    ]
    return cases, spacing, scales


def _standardised(
    voxels: np.ndarray, grid: Grid, spacing_mm: tuple[float, ...] | list[float], scales: tuple[Scale, ...]
) -> np.ndarray:
    if len(scales) != len(voxels):
        raise DataError(f"the model was trained on {len(scales)} channel(s); this scan has {len(voxels)}")
    resampled = to_spacing(voxels, grid.spacing_mm, spacing_mm)
    return np.stack([scale(channel) for scale, channel in zip(scales, resampled, strict=True)])


def read_settings(path: Path) -> dict[str, Any]:
    """Return what training kept beside the weights.  Raises DataError where there is no model."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path.parent} holds no trained unet; train one first with: firstscan train") from None
    return told
