"""Predictions as first labels of a hand-off: which there are, a copy that no tool saves over, and what is said."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from firstscan.domain.errors import UsageError
from firstscan.handoff.material import Handed
from firstscan.imaging.files import split_ending

from .label_maps import read_classes
from .predicted import PREDICTIONS, predicted_labels
from .tool_folder import HandoffConfig

REFUSED = {
    "csv": "that list holds no label maps",
    "dicom-list": "that list holds no label maps",
    "nnunet": "a data set to train on must not hold predictions as labels",
}
"""Targets that predictions are not handed to, and why."""


def prelabels(
    results: Path, config: HandoffConfig, case_ids: Collection[str], given: Mapping[str, str]
) -> dict[str, str]:
    """Return ``{case id: predicted label map}`` of the scans that are handed over without a label map.

    Raises
    ------
    UsageError : a target that takes none, or no prediction of any of these scans.
    """
    if config.target in REFUSED:
        raise UsageError(f"--prelabel --to {config.target}: {REFUSED[config.target]}; choose another target")
    found = {i: path for i, path in predicted_labels(results).items() if i in case_ids and i not in given}
    if not found:
        raise UsageError(
            f"--prelabel: {results} holds no prediction of the scans that are handed over. Make some with: "
            f"firstscan next {results} --labels LABELS --more B"
        )
    return found


def classes_predicted(predicted: Mapping[str, str]) -> dict[str, int]:
    """Return the class list that the predictions were made with."""
    return read_classes(Path(next(iter(predicted.values()))).parent)


def set_aside(folder: Path, handed: Handed, predicted: Collection[str]) -> dict[str, Path]:
    """Copy the predictions that a hand-off holds to ``predictions/`` in it; return where, by case id."""
    copies: dict[str, Path] = {}
    for item in handed.items:
        if item.given is not None and item.case_id in predicted:
            target = folder / PREDICTIONS / f"{item.name}{split_ending(item.given.name)[1]}"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(item.given, target)
            copies[item.case_id] = target
    return copies


def with_word(handed: Handed, predicted: Collection[str]) -> Handed:
    """Return the hand-off with a sentence on its predictions."""
    count = len({item.case_id for item in handed.items if item.given is not None and item.case_id in predicted})
    if not count:
        return handed
    said = (
        f"{count} label map(s) are predictions to correct, not annotations: handoff.json marks them, and collect says "
        "what was changed."
    )
    return replace(handed, message=f"{handed.message} {said}")
