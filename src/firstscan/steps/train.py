"""Dataset folder → trained model, and its predictions."""

from __future__ import annotations

from pathlib import Path

from firstscan.execution import Progress, Silent
from firstscan.segmentation.protocol import Progress as Report
from firstscan.segmentation.protocol import Segmenter


def train(
    dataset: Path,
    model: Path,
    segmenter: Segmenter,
    *,
    seed: int = 0,
    images: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Train ``segmenter`` on an nnU-Net raw ``dataset`` folder; predict ``images`` into ``out`` where they are given.

    Raises
    ------
    DataError : data that cannot be trained on.  UsageError : the segmenter is not installed.
    """
    shown = progress or Silent()
    model.mkdir(parents=True, exist_ok=True)
    with _Stage(shown, f"Training {segmenter.name}") as report:
        segmenter.train(dataset, model, seed=seed, progress=report)
    if images is not None and out is not None:
        with _Stage(shown, "Predicting") as report:
            segmenter.predict(model, images, out, progress=report)


class _Stage:
    """Shows a segmenter's ``(done, total, note)`` as one stage, which begins when its size is known."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name, self._done, self._total = progress, name, 0, 0

    def __enter__(self) -> Report:
        return self._report

    def __exit__(self, *_: object) -> None:
        if self._total:
            self._progress.finish()

    def _report(self, done: int, total: int, note: str) -> None:
        if total != self._total:
            if self._total:
                self._progress.finish()
            self._progress.start(self._name, total)
            self._done, self._total = 0, total
        self._progress.advance(max(done - self._done, 0), note)
        self._done = max(done, self._done)
