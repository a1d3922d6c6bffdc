"""The nine views of a case, and the way back from each.

A view rotates a cube by k·90° about the third axis and then swaps two axes. Both act on the last three axes of a
tensor, are lossless, and are undone exactly: ``restore(transform(x, v), v) == x``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

AXIS_ORDERS: tuple[tuple[int, int] | None, ...] = (None, (-3, -2), (-3, -1))


@dataclass(frozen=True, slots=True)
class View:
    """``turns`` quarter turns about the third axis, then ``swap`` of two axes (None: as is)."""

    turns: int
    swap: tuple[int, int] | None


NINE_VIEWS: tuple[View, ...] = tuple(View(turns, swap) for turns, swap in product((0, 1, 2), AXIS_ORDERS))


def transform(cube: Tensor, view: View) -> Tensor:
    """Return ``cube`` (…, s, s, s) as seen in ``view``."""
    turned = torch.rot90(cube, view.turns, dims=(-3, -2))
    return turned if view.swap is None else turned.transpose(*view.swap)


def restore(cube: Tensor, view: View) -> Tensor:
    """Undo :func:`transform`: map a cube seen in ``view`` back to the case's own frame."""
    straight = cube if view.swap is None else cube.transpose(*view.swap)
    return torch.rot90(straight, -view.turns, dims=(-3, -2))
