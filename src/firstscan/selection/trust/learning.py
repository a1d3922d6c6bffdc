"""Whether a network learned its pretext tasks: each loss at the end held against its start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TASKS = ("rotation", "inpainting", "consistency")
GUESSING_ROTATION = math.log(4)
"""The loss of guessing one of four turns."""
FELL, NEAR_GUESSING, HALF_WAY = 0.1, 0.9, 0.5
EDGE = 0.1


@dataclass(frozen=True, slots=True)
class Learning:
    """The mean loss of each pretext task over the first and over the last tenth of the training, by task."""

    start: Mapping[str, float]
    end: Mapping[str, float]

    @property
    def fell(self) -> tuple[str, ...]:
        """The tasks whose loss fell by at least a tenth."""
        return tuple(task for task in self.start if self.end[task] <= (1 - FELL) * self.start[task])

    @property
    def guessing(self) -> bool:
        """Tell whether the network hardly does better than guessing how a scan was turned."""
        rotation = self.end.get("rotation", math.nan)
        return not rotation <= NEAR_GUESSING * GUESSING_ROTATION


def learning(losses: Mapping[str, Sequence[float]]) -> Learning | None:
    """Return what a training's losses say, by task, a value a logged step; None where there are fewer than two."""
    rows = {task: np.asarray(losses[task], dtype=np.float64) for task in TASKS if task in losses}
    if not rows or min(map(len, rows.values())) < 2:
        return None
    edge = {task: max(round(len(values) * EDGE), 1) for task, values in rows.items()}
    start = {task: float(values[: edge[task]].mean()) for task, values in rows.items()}
    end = {task: float(values[-edge[task] :].mean()) for task, values in rows.items()}
    return Learning(start, end)
