"""Where the tokens of a cubic grid meet in shifted windows: index tables, made once a grid.

A Swin block pads its grid to whole windows, shifts it, and lets the tokens of a window attend to each other, except
across the seam where the shift wraps around. Here a window holds only the tokens that are there: what the seam parts
are windows of their own, and padding is no token but a list of places, since all padding is alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class WindowGroup(NamedTuple):
    """Windows of one shape, which therefore share their position biases.

    ``rows`` (windows · tokens,) the tokens of each window, as rows of the table that a block is given;
    ``tokens`` how many a window holds; ``inside`` (tokens,) their places in the full window; ``padding`` the places,
    possibly none, of the padding that they see.
    """

    rows: Tensor
    tokens: int
    inside: Tensor
    padding: Tensor


class StagePlan(NamedTuple):
    """One stage of a Swin transformer: the groups of each block in turn, and how eight tokens merge into one.

    A block leaves its tokens in the order of its groups; the rows of the next are counted in that order. ``merge``
    (tokens,) lists the rows of the eight parents of every merged token, which are in raster order again.
    """

    blocks: tuple[tuple[WindowGroup, ...], ...]
    merge: Tensor


class _Segment(NamedTuple):
    """A window along one axis: the grid positions of its tokens, their places in it, and those of its padding."""

    positions: tuple[int, ...]
    inside: tuple[int, ...]
    padding: tuple[int, ...]


# the order in which MONAI's merging, and so every published checkpoint, lines up the eight parents
_PARENTS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))


@lru_cache(maxsize=32)
def stage_plan(grid: int, window: int, depth: int, device: torch.device) -> StagePlan:
    """Return the plan of a stage of ``depth`` blocks on ``grid``³ tokens, every other block shifted by half a window.

    A grid no larger than a window is one window, and is not shifted. ``grid`` must be even.
    """
    edge = min(grid, window)
    shifts = [0 if block % 2 == 0 or grid <= window else window // 2 for block in range(depth)]
    row_of = np.arange(grid**3)
    blocks = []
    with torch.inference_mode(False):  # the tables outlive the pass that happened to ask for them first
        for shift in shifts:
            groups = _groups(_segments(grid, edge, shift), grid, edge)
            order = np.concatenate([tokens.ravel() for tokens, _, _ in groups])
            blocks.append(
                tuple(
                    WindowGroup(
                        torch.from_numpy(row_of[tokens].ravel()).to(device),
                        tokens.shape[1],
                        torch.from_numpy(inside).to(device),
                        torch.from_numpy(padding).to(device),
                    )
                    for tokens, inside, padding in groups
                )
            )
            row_of = np.empty_like(order)
            row_of[order] = np.arange(len(order))
        merge = torch.from_numpy(row_of[_parents(grid)].ravel()).to(device)
    return StagePlan(tuple(blocks), merge)


def _segments(grid: int, edge: int, shift: int) -> list[_Segment]:
    """Cut an axis of ``grid`` positions into windows of ``edge``, the last one at the seam of the shift."""
    padded = -(-grid // edge) * edge
    pieces = [range(start, start + edge) for start in range(0, padded, edge)]
    if shift:
        last = pieces.pop()
        pieces += [last[: edge - shift], last[edge - shift :]]
    segments = []
    for piece in pieces:
        places = [(position % edge, (position + shift) % padded) for position in piece]
        there = [(place, position) for place, position in places if position < grid]
        if there:
            inside, positions = zip(*there, strict=True)
            segments.append(_Segment(positions, inside, tuple(place for place, at in places if at >= grid)))
    return segments


def _groups(segments: Sequence[_Segment], grid: int, edge: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return (tokens (windows, n) in raster order, their places in the window, places of padding) a shape."""
    kinds: dict[tuple[tuple[int, ...], tuple[int, ...]], list[_Segment]] = {}
    for segment in segments:
        kinds.setdefault((segment.inside, segment.padding), []).append(segment)
    found = []
    for kind in product(kinds.values(), repeat=3):
        tokens = [_flat([s.positions for s in corner], grid) for corner in product(*kind)]
        inside = _flat([axis[0].inside for axis in kind], edge)
        seen = _flat([axis[0].inside + axis[0].padding for axis in kind], edge)
        found.append((np.stack(tokens), inside, np.setdiff1d(seen, inside)))
    return found


def _flat(axes: Sequence[Sequence[int]], edge: int) -> np.ndarray:
    """Return the raster positions, in a cube of ``edge``, of the box that three lists of positions span."""
    first, second, third = (np.array(axis) for axis in axes)
    flat: np.ndarray = (first[:, None, None] * edge + second[:, None]) * edge + third
    return flat.ravel()


def _parents(grid: int) -> np.ndarray:
    """Return the raster positions (merged, 8) of the eight tokens that become one."""
    every = range(0, grid, 2)
    corners = _flat([every, every, every], grid)
    offsets = np.array([(a * grid + b) * grid + c for a, b, c in _PARENTS])
    parents: np.ndarray = corners[:, None] + offsets
    return parents
