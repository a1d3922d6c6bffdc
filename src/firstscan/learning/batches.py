"""Batches as a pure function of (seed, step): what makes a resumed run equal to an undisturbed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from firstscan.domain.volume import Crop

from .masking import hidden_windows, window_voxels
from .presets import Preset
from .views import AXIS_ORDERS, View, restore, transform


@runtime_checkable
class CropSource(Protocol):
    """Standardised cubes by position; positions are those of the sorted case ids."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Crop: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """One optimiser step's input, in the cases' own frame, with the two ways each case is seen.

    ``target`` (batch, channel, s, s, s); ``foreground`` (batch, 1, s, s, s); ``hidden`` two masks (batch, 1, s, s, s);
    ``views`` two views a case.
    """

    target: Tensor
    foreground: Tensor
    hidden: tuple[Tensor, Tensor]
    views: tuple[tuple[View, ...], tuple[View, ...]]

    def seen(self) -> Tensor:
        """The network's input: (2·batch, channel, s, s, s), hidden windows set to 0, first all first views."""
        cubes = [
            transform(target * (1 - hidden), view)
            for mask, views in zip(self.hidden, self.views, strict=True)
            for target, hidden, view in zip(self.target, mask, views, strict=True)
        ]
        return torch.stack(cubes).contiguous(memory_format=torch.channels_last_3d)

    def restored(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map outputs for :meth:`seen` back to the cases' own frame, one tensor a view."""
        views = self.views[0] + self.views[1]
        back = torch.stack([restore(cube, view) for cube, view in zip(outputs, views, strict=True)])
        first, second = back.chunk(2)
        return first, second

    def turns(self) -> Tensor:
        """Quarter turns of each first view: the rotation task's truth, (batch,)."""
        return torch.tensor([view.turns for view in self.views[0]], device=self.target.device)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``; to a GPU through pinned memory, without waiting."""

        def moved(tensor: Tensor) -> Tensor:
            return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)

        first, second = self.hidden
        return Batch(moved(self.target), moved(self.foreground), (moved(first), moved(second)), self.views)


def make_batch(source: CropSource, preset: Preset, *, seed: int, step: int, rank: int = 0, ranks: int = 1) -> Batch:
    """Draw the cases, masks and views of one step.

    Cases are drawn epoch by epoch without replacement, so that every case is seen equally often (give or take one).
    Each of ``ranks`` processes takes its share of the step: how many they are does not change what is drawn.
    """
    rng = np.random.default_rng([seed, step])
    positions = _case_positions(len(source), preset.batch_size, seed, step)
    windows = np.stack(
        [hidden_windows(preset.size, preset.window, preset.masked_fraction, rng, count=2) for _ in positions], axis=1
    )
    views = _two_views(len(positions), rng)
    share = slice(rank, None, ranks)
    crops = [source[int(i)] for i in positions[share]]
    target = torch.from_numpy(np.stack([c.voxels for c in crops]).astype(np.float32, copy=False))
    foreground = torch.from_numpy(np.stack([c.foreground for c in crops])[:, None].astype(np.float32))
    hidden = torch.from_numpy(windows[:, share, None].astype(np.float32))
    first, second = window_voxels(hidden, preset.window)
    return Batch(target, foreground, (first, second), (views[0][share], views[1][share]))


def _case_positions(n: int, count: int, seed: int, step: int) -> np.ndarray:
    """Positions of the cases of one step in an endless sequence of shuffled epochs."""
    start = step * count
    wanted = range(start, start + count)
    shuffles: dict[int, np.ndarray] = {}
    for epoch in range(start // n, (start + count - 1) // n + 1):
        shuffles[epoch] = np.random.default_rng([seed, epoch]).permutation(n)
    return np.array([shuffles[i // n][i % n] for i in wanted])


def _two_views(count: int, rng: np.random.Generator) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """Draw a pair of views a case: the second differs from the first in rotation and in axis order."""
    turns = rng.integers(4, size=count)
    other_turns = (turns + rng.integers(1, 4, size=count)) % 4
    orders: Sequence[int] = rng.integers(1, len(AXIS_ORDERS), size=count).tolist()
    first = tuple(View(int(t), None) for t in turns)
    second = tuple(View(int(t), AXIS_ORDERS[o]) for t, o in zip(other_turns, orders, strict=True))
    return first, second
