"""Embedding and nine-view uncertainty of one case or of several (METHOD §1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from firstscan.domain.arrays import Float
from firstscan.domain.volume import Crop

from .compiling import Compiled
from .lanes import Lanes
from .masking import hidden_windows, window_voxels
from .network import Network, foreground_average, foreground_parts, packed_weights
from .presets import Preset, resolve_device
from .views import NINE_VIEWS, restore, transform
from .weights import load_weights

Region = Literal["foreground", "all"]
GPU_BATCH = 8
_Signals = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class CaseFeatures:
    """``embedding`` (dim,) float32; ``uncertainty`` in squared units of the normalised intensity, ≥ 0.

    ``positions`` (dim · 27,) is the deepest stage averaged over 3³ parts of the crop instead of over all of it.
    """

    case_id: str
    embedding: Float[np.ndarray, " dim"]
    uncertainty: float
    positions: Float[np.ndarray, " dim27"]


class Extractor:
    """A trained network ready to measure cases.

    All cases are judged under the same nine masks, drawn once from ``seed``: differences in U are then differences
    between scans, not between draws. The masks hide every window equally often. ``region="all"`` averages over the
    whole cube as published; the default averages over the foreground.

    Give it ``batch_size`` cases at a time to keep the machine busy. On a CPU, views are computed side by side, one
    ``threads`` each, and a case's bytes depend neither on their number nor on the other cases. On a GPU all
    views of all cases make one batch, always of the same shape (short ones are filled up), so that the same kernels
    run whatever is measured together. ``compiled`` sends the encoder through torch.compile, which takes minutes
    and is worth it for long runs on a GPU (``benchmarks/gpu.py`` measures both ways).
    """

    def __init__(
        self,
        weights: Path,
        preset: Preset,
        *,
        channels: int,
        seed: int,
        device: str = "auto",
        region: Region = "foreground",
        threads: int | None = None,
        compiled: bool = False,
    ) -> None:
        kind = resolve_device(device)
        self.device = torch.device(device if ":" in device else kind)
        self.region = region
        network = Network(preset.encoder, channels)
        load_weights(network, weights)
        network = packed_weights(network.to(self.device)).eval()
        rng = np.random.default_rng([seed, len(NINE_VIEWS)])
        windows = hidden_windows(preset.size, preset.window, preset.masked_fraction, rng, count=len(NINE_VIEWS))
        hidden = window_voxels(torch.from_numpy(windows[:, None].astype(np.float32)), preset.window)
        self.visible = (1 - hidden).to(self.device)
        with torch.no_grad():
            self._encode = network.encoder.frozen(preset.size)  # type: ignore[operator]
            self._decode = network.decoder.frozen()
        if compiled:
            self._encode = Compiled(self._encode)
        self._views_at_once: int = network.encoder.views_at_once  # type: ignore[assignment]
        self._lanes = Lanes(threads) if self.device.type == "cpu" else None
        self.batch_size = GPU_BATCH if self._lanes is None else self._lanes.count

    def __call__(self, crops: Sequence[Crop]) -> list[CaseFeatures]:
        """Measure ``crops``: nine masked views of each for U, and the unmasked case for z."""
        if self._lanes is not None:
            measured = self._side_by_side(crops, self._lanes)
        else:
            starts = range(0, len(crops), self.batch_size)
            measured = [one for start in starts for one in self._in_one_batch(crops[start : start + self.batch_size])]
        return [
            CaseFeatures(crop.case_id, embedding.numpy(), float(uncertainty), positions.numpy())
            for crop, (embedding, uncertainty, positions) in zip(crops, measured, strict=True)
        ]

    def disagreement(self, crop: Crop) -> Float[np.ndarray, "s s s"]:
        """Return the variance of the nine reconstructions in every voxel of a crop, 0 in those that U leaves out.

        Its mean over the others is the crop's U; squared units of the normalised intensity, ≥ 0, float32.
        """
        counted = self._counted(crop)
        voxels = torch.from_numpy(np.array(crop.voxels, order="C"))[None].to(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            _, restored = self._views(voxels, range(1 + len(NINE_VIEWS)))
        with torch.inference_mode():
            found = _variance(restored)[0, 0].cpu() * counted[0]
        return np.asarray(found.numpy(), dtype=np.float32)

    def _side_by_side(self, crops: Sequence[Crop], lanes: Lanes) -> list[_Signals]:
        cases = [(torch.from_numpy(np.array(crop.voxels, order="C")), self._counted(crop)) for crop in crops]
        starts = range(0, 1 + len(NINE_VIEWS), self._views_at_once)

        def pass_through(task: tuple[int, int]) -> tuple[Tensor, Tensor]:
            case, start = task
            return self._views(cases[case][0][None], range(start, start + self._views_at_once))

        def conclude(case: int) -> _Signals:
            first = case * len(starts)
            embedded = passed[first][0]
            cubes = torch.cat([restored for _, restored in passed[first : first + len(starts)]])
            embedding, uncertainty, positions = _signals(embedded, cubes, cases[case][1][None])
            return embedding[0].clone(), uncertainty[0], positions[0].clone()

        passed = lanes.map(pass_through, product(range(len(crops)), starts))
        return lanes.map(conclude, range(len(crops)))

    def _in_one_batch(self, crops: Sequence[Crop]) -> list[_Signals]:
        filled = [*crops, *[crops[-1]] * (self.batch_size - len(crops))]
        voxels = self._moved(torch.from_numpy(np.stack([crop.voxels for crop in filled])))
        foreground = self._moved(torch.stack([self._counted(crop) for crop in filled]))
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            embedded, restored = self._views(voxels, range(1 + len(NINE_VIEWS)))
        with torch.inference_mode():
            signals = _signals(embedded, restored, foreground)
        return list(zip(*(s.cpu() for s in signals), strict=True))[: len(crops)]

    def _views(self, voxels: Tensor, which: range) -> tuple[Tensor, Tensor]:
        """Pass some views of cubes (case, channel, s, s, s) through the network, view 0 being the unmasked case.

        Returns the deepest stage of the unmasked cases (none where 0 is not asked for), and the reconstructions of
        the others in the cases' own frame, (view, case, channel, s, s, s).
        """
        cases = len(voxels)
        masked = [i - 1 for i in which if i > 0]
        seen = [transform(voxels * self.visible[i], NINE_VIEWS[i]) for i in masked]
        whole = [voxels] if 0 in which else []
        deepest = self._encode(torch.cat(whole + seen).contiguous(memory_format=torch.channels_last_3d))
        embedded, hidden = deepest.split([cases * len(whole), cases * len(seen)])
        if not seen:
            return embedded.float(), voxels.new_empty((0, *voxels.shape))
        outputs = torch.split(self._decode(hidden.contiguous(memory_format=torch.channels_last_3d)).float(), cases)
        restored = [restore(cubes, NINE_VIEWS[i]) for i, cubes in zip(masked, outputs, strict=True)]
        return embedded.float(), torch.stack(restored)

    def _counted(self, crop: Crop) -> Tensor:
        """Return the voxels that U and z are averaged over, (1, s, s, s) of 0 and 1."""
        mask = np.ones_like(crop.foreground) if self.region == "all" else crop.foreground
        return torch.from_numpy(mask[None].astype(np.float32))

    def _moved(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` on the device; to a GPU through pinned memory, without waiting."""
        if self._half:
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    @property
    def _half(self) -> bool:
        return self.device.type == "cuda"


def cases_at_once(encoder: str) -> int | None:
    """Return how many cases to measure side by side on a CPU; None: one a core.

    A case of the transformer keeps every lane busy and fills the memory of a laptop; the convolutional one is small.
    """
    return 1 if encoder == "swin" else None


def _signals(embedded: Tensor, restored: Tensor, foreground: Tensor) -> _Signals:
    """Return z (case, dim), U (case,) and positions (case, dim · 27).

    U is the foreground mean of the variance of nine reconstructions a voxel.
    """
    variance = _variance(restored)
    voxels = (1, 2, 3, 4)
    uncertainty = (variance * foreground).sum(dim=voxels) / foreground.sum(dim=voxels).clamp_min(1.0)
    return foreground_average(embedded, foreground), uncertainty, foreground_parts(embedded, foreground)


def _variance(restored: Tensor) -> Tensor:
    """Return the variance of reconstructions (view, case, channel, s, s, s) in every voxel, (case, 1, s, s, s)."""
    return restored.var(dim=0, unbiased=False).mean(dim=1, keepdim=True)
