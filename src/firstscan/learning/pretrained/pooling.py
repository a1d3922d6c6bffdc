"""A scan of any size → one embedding: averages over the positions of a network's maps that hold foreground."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.volume import Volume
from firstscan.learning.gpu import repeatable, too_small
from firstscan.learning.lanes import Lanes

LOGGER = logging.getLogger(__name__)
SLICES = 32
"""Slices of a scan in all, of three planes."""
_CODES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
"""Which canonical axis a letter names, and whether it points along it."""
_PLANES = ((2, False), (1, True), (0, True))
"""Normal of axial, coronal and sagittal slices, and whether rows run against the axis."""

Run = Callable[[Tensor], Tensor]


@dataclass
class Machine:
    """How a network is run: one thread an input on a CPU, in batches of one shape on a GPU.

    ``half``: matrix products and convolutions in bfloat16, volumes laid out channels last; for a GPU.
    """

    network: Run
    device: torch.device
    batch: int
    lanes: Lanes | None
    gate: Any = field(default_factory=Lock)
    half: bool = False

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the network's output for every input (channel, …), in order, on the CPU in float32."""
        if self.lanes is not None:
            starts = range(0, len(inputs), self.batch)
            groups = [list(inputs[i : i + self.batch]) for i in starts]
            parts = self.lanes.map(lambda group: self.network(torch.stack(group)).float(), groups)
            return [one for part in parts for one in part]
        with self.gate:  # scans are read side by side, and one at a time has the GPU
            return self._in_batches(inputs)

    def _in_batches(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        outputs: list[Tensor] = []
        while len(outputs) < len(inputs):
            part = list(inputs[len(outputs) : len(outputs) + self.batch])
            try:
                outputs += self._at_once(part)
            except torch.OutOfMemoryError as error:
                if self.batch == 1:
                    raise UsageError(too_small("embed one input", "run the same command with --device cpu")) from error
                LOGGER.warning("the GPU's memory is too small for %d inputs at once: going on one by one", self.batch)
                self.batch = 1
        return outputs

    def _at_once(self, part: list[Tensor]) -> list[Tensor]:
        filled = torch.stack([*part, *[part[-1]] * (self.batch - len(part))]).to(self.device)
        if self.half and filled.ndim == 5:
            filled = filled.contiguous(memory_format=torch.channels_last_3d)
        half = torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)
        with torch.inference_mode(), repeatable(), half:
            return list(self.network(filled).float().cpu()[: len(part)])


def cubes_average(volume: Volume, machine: Machine, size: tuple[int, int, int], axes: str) -> np.ndarray:
    """Return the mean of the network's map over all positions that hold foreground, (dim,) float32.

    The scan is covered by inputs of ``size`` voxels, evenly laid and overlapping where they must; a scan smaller than
    one is set in its middle, zeros around it. Positions count alike, and inputs without foreground are left out.
    """
    order, flips = _orientation(axes)
    voxels = torch.from_numpy(np.ascontiguousarray(volume.voxels))
    mask = torch.from_numpy(volume.foreground.astype(np.float32))[None]
    wanted = [size[axis] for axis in order]
    voxels, mask = (_turned(t, order, flips) for t in (voxels, mask))
    places = [
        place for place in product(*map(_starts, mask.shape[1:], wanted)) if bool(_cut(mask, place, wanted).any())
    ]
    maps = machine([_cut(voxels, place, wanted) for place in places])
    total: Tensor | None = None
    count = 0.0
    for place, features in zip(places, maps, strict=True):
        grid = features.double() if features.ndim == 4 else features.double()[:, None, None, None]
        weights = F.adaptive_max_pool3d(_cut(mask, place, wanted)[None], grid.shape[1:])[0].double()
        part = (grid * weights).sum(dim=(1, 2, 3))
        total = part if total is None else total + part
        count += float(weights.sum())
    if total is None:
        raise DataError(f"{volume.case_id}: no voxel of the scan counts as foreground")
    return _checked(volume, (total / count).float().numpy())


def slices_moments(volume: Volume, machine: Machine, patch: int) -> np.ndarray:
    """Return mean and variance of the tokens that hold foreground, for axial, coronal and sagittal slices.

    (channel · 6 · dim,) float32: of each channel, the mean and the variance of one plane after the other. ``SLICES``
    slices a channel, evenly spaced through the patient's box and shared out among the planes; each is padded to whole
    patches with zeros.
    """
    mask = torch.from_numpy(volume.foreground.astype(np.float32))
    numbers: list[np.ndarray] = []
    for channel in torch.from_numpy(np.ascontiguousarray(volume.voxels)):
        for index, (normal, reverse) in enumerate(_PLANES):
            count = SLICES // 3 + (1 if index < SLICES % 3 else 0)
            chosen = sorted({math.floor((i + 0.5) * channel.shape[normal] / count) for i in range(count)})
            images = [_padded(_plane(channel, normal, i, reverse=reverse), patch) for i in chosen]
            counted = [_padded(_plane(mask, normal, i, reverse=reverse), patch) for i in chosen]
            numbers += _moments(machine([i[None] for i in images]), counted)
    return _checked(volume, np.concatenate(numbers).astype(np.float32))


def _moments(maps: Sequence[Tensor], counted: Sequence[Tensor]) -> list[np.ndarray]:
    """Return the mean (dim,) and the variance (dim,) of tokens whose patch holds foreground; of all where none does."""
    tokens = torch.cat([m.flatten(1).T for m in maps]).double()
    pairs = zip(counted, maps, strict=True)
    inside = torch.cat([F.adaptive_max_pool2d(mask[None], m.shape[1:]).flatten() for mask, m in pairs])
    chosen = tokens[inside > 0] if bool((inside > 0).any()) else tokens
    return [chosen.mean(dim=0).numpy(), chosen.var(dim=0, unbiased=False).numpy()]


def _plane(values: Tensor, normal: int, at: int, *, reverse: bool) -> Tensor:
    """Return one slice as it is looked at: the back or the feet down, the patient's left or back to the right."""
    image = values.select(normal, at).T
    return image.flip(0) if reverse else image


def _padded(image: Tensor, patch: int) -> Tensor:
    high, wide = image.shape
    down, right = -high % patch, -wide % patch
    return F.pad(image, (right // 2, right - right // 2, down // 2, down - down // 2))


def _orientation(axes: str) -> tuple[list[int], list[int]]:
    """Return which canonical axes the network's axes are, and which of the network's axes are turned round."""
    order = [_CODES[letter][0] for letter in axes]
    return order, [i for i, letter in enumerate(axes) if _CODES[letter][1] < 0]


def _turned(values: Tensor, order: list[int], flips: list[int]) -> Tensor:
    turned = values.permute(0, *(1 + axis for axis in order))
    return turned.flip([1 + i for i in flips]) if flips else turned


def _starts(length: int, size: int) -> list[int]:
    """Return where inputs begin along one axis; before 0 where the scan is smaller than one."""
    if length <= size:
        return [-((size - length) // 2)]
    count = math.ceil(length / size)
    return [round(i * (length - size) / (count - 1)) for i in range(count)]


def _cut(values: Tensor, place: Sequence[int], size: Sequence[int]) -> Tensor:
    """Return the box of ``size`` at ``place`` (channel, i, j, k), zeros where it leaves the array."""
    box = [slice(max(p, 0), p + s) for p, s in zip(place, size, strict=True)]
    part = values[(slice(None), *box)]
    if list(part.shape[1:]) == list(size):
        return part.contiguous()
    before = [max(-p, 0) for p in place]
    after = [s - n - b for s, n, b in zip(size, part.shape[1:], before, strict=True)]
    pads = [pad for pair in zip(reversed(before), reversed(after), strict=True) for pad in pair]
    return F.pad(part, pads)


def _checked(volume: Volume, embedding: np.ndarray) -> np.ndarray:
    if not np.isfinite(embedding).all():
        raise DataError(
            f"{volume.case_id}: the encoder gives NaN or infinity for this scan. Is the file meant for such scans? "
            "Look at --window, or leave the scan out"
        )
    return embedding
