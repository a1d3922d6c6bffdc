"""Several trainings of ``unet`` on one data set as one ensemble: class probabilities of a scan, member by member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from firstscan.domain.arrays import Float, LabelMap
from firstscan.domain.errors import DataError
from firstscan.segmentation.standardise import Scale, to_spacing

from .segmenter import SETTINGS, WEIGHTS, Unet, read_settings


class UnetMembers:
    """Trained networks that were given the same scans, and differ in their seed only.

    Parameters
    ----------
    models : folders that :meth:`firstscan.segmentation.unet.segmenter.Unet.train` wrote, at least one.
    settings : where it runs, and on how many threads.

    Raises
    ------
    DataError : a folder without a model, or models that were trained on other classes, channels or spacings.
    """

    def __init__(self, models: Sequence[Path], settings: Unet) -> None:
        from . import training

        told = [read_settings(folder / SETTINGS) for folder in models]
        for name in ("classes", "channel_names", "spacing_mm", "scales", "patch"):
            if any(other[name] != told[0][name] for other in told[1:]):
                raise DataError(f"the members of the ensemble were trained on different {name.replace('_', ' ')}")
        first = told[0]
        self.classes: Mapping[str, int] = first["classes"]
        self.channel_names: tuple[str, ...] = tuple(first["channel_names"])
        self._spacing_mm: list[float] = first["spacing_mm"]
        self._patch: list[int] = first["patch"]
        self._scales = [Scale(tuple(s["clip"]) if s["clip"] else None, s["mean"], s["std"]) for s in first["scales"]]
        self._settings = settings
        self._networks = []
        for folder, own in zip(models, told, strict=True):
            built = Unet(**{**own["settings"], "device": settings.device})
            outputs = len(self.classes) + 1
            self._networks.append(training.load(built, folder / WEIGHTS, len(self._scales), outputs))

    def probabilities(
        self, voxels: Float[np.ndarray, "channel x y z"], spacing_mm: Sequence[float]
    ) -> Iterator[Float[np.ndarray, "class x2 y2 z2"]]:
        """Yield the class probabilities of each member at the working spacing, background first.

        Raises
        ------
        DataError : the scan has another number of channels than those that were trained on.
        """
        from . import prediction, training

        if len(voxels) != len(self._scales):
            raise DataError(
                f"the model was trained on {len(self._scales)} channel(s) ({', '.join(self.channel_names)}); this scan "
                f"has {len(voxels)}"
            )
        resampled = to_spacing(voxels, spacing_mm, self._spacing_mm)
        ready = np.stack([scale(channel) for scale, channel in zip(self._scales, resampled, strict=True)])
        for network in self._networks:
            with training.pinned(self._settings.threads, 0):
                yield prediction.probabilities(network, ready, self._patch)

    def labels(self, voxels: Float[np.ndarray, "channel x y z"], spacing_mm: Sequence[float]) -> LabelMap:
        """Return the label map of the mean prediction on the scan's own grid (x, y, z)."""
        from . import prediction

        total, count = np.zeros(0), 0
        for member in self.probabilities(voxels, spacing_mm):
            total, count = (total + member, count + 1) if count else (member, 1)
        winner = prediction.winner_on(total / count, voxels.shape[1:])
        values = np.array([0, *self.classes.values()], dtype=np.int32)
        labels: LabelMap = values[winner]
        return labels
