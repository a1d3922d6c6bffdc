"""What a segmenter is: settings that can train on a dataset folder and predict into another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

Progress = Callable[[int, int, str], None]
"""``progress(done, total, note)``: called often, cheap, never raises."""


def silent(done: int, total: int, note: str) -> None:
    """Report nothing."""


@runtime_checkable
class Segmenter(Protocol):
    """Frozen settings of one trainer; the same settings, data and seed give the same model on the same device."""

    name: ClassVar[str]
    execution: ClassVar[frozenset[str]]
    """Names of the fields that say where it runs and change no result."""

    @property
    def fills_machine(self) -> bool:
        """Whether one training takes all of a processor or a GPU, so that several at once are slower or do not fit."""

    def check(self) -> None:
        """Do nothing where it can run.  Raises UsageError where a program or a device that it needs is not there."""

    def load(self) -> None:
        """Import what training and predicting take, so that their times hold the work alone."""

    def versions(self) -> Mapping[str, str]:
        """Return ``{package: version}`` of what it runs on where that is another environment than this one."""

    def train(self, dataset: Path, model: Path, *, seed: int, progress: Progress = silent) -> None:
        """Train on every case of an nnU-Net raw ``dataset`` folder and leave what predicts in the folder ``model``.

        A model folder that an interrupted run left behind is continued, or trained again from the start.
        """

    def predict(self, model: Path, images: Path, out: Path, *, progress: Progress = silent) -> None:
        """Write one label map ``<name>.nii.gz`` into ``out`` for each ``<name>_0000.nii.gz`` in ``images``."""
