"""Several readers of one scan: how far they agree, and which label map stands for them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from firstscan.domain.arrays import LabelMap
from firstscan.domain.scores import Score
from firstscan.segmentation.evaluate import score_case
from firstscan.segmentation.grids import read_labels, sitk, write_labels

COLUMNS = ("case_id", "reader_a", "reader_b", "label", "class", "dice", "hd95_mm", "nsd", "status")
_UNDECIDED = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """The scores of one class of one scan between two readers; the order of the two does not matter to them."""

    reader_a: str
    reader_b: str
    score: Score


def compare(
    case_id: str, labels: Mapping[str, Path], classes: Mapping[str, int], *, ignore: int | None = None
) -> tuple[Agreement, ...]:
    """Compare every pair of readers of one scan, whose label maps lie on one grid, class by class.

    What either of the two ignored is left out.
    """
    read = {reader: read_labels(path) for reader, path in labels.items()}
    return tuple(
        Agreement(a, b, score)
        for a, b in combinations(read, 2)
        for score in score_case(
            case_id, *_both_known(read[a][0], read[b][0], ignore), read[a][1].spacing_mm, classes, ignore=ignore
        )
    )


def _both_known(a: LabelMap, b: LabelMap, ignore: int | None) -> tuple[LabelMap, LabelMap]:
    return (a, b) if ignore is None else (a, np.where(a == ignore, ignore, b))


def by_majority(labels: Sequence[Path], target: Path, *, ignore: int | None = None) -> None:
    """Write what most readers say of each voxel; where no value leads, the first reader decides.

    Readers who ignored a voxel have no vote on it.

    References
    ----------
    ITK LabelVotingImageFilter.
    """
    read = [read_labels(path) for path in labels]
    if ignore is not None:
        known = read[0][0]
        for values, _ in read[1:]:
            known = np.where(known == ignore, values, known)
        read = [(np.where(values == ignore, known, values), grid) for values, grid in read]
    images = [sitk().GetImageFromArray(values.T.astype(np.uint16)) for values, _ in read]
    voted = sitk().GetArrayFromImage(sitk().LabelVoting(images, _UNDECIDED)).T.astype(np.int32)
    write_labels(np.where(voted == _UNDECIDED, read[0][0], voted), read[0][1], target)


def agreement_table(rows: Sequence[Agreement]) -> str:
    """Return the comparison as CSV, with every digit."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        s = row.score
        writer.writerow([s.case_id, row.reader_a, row.reader_b, s.label, s.name, s.dice, s.hd95_mm, s.nsd, s.status])
    return text.getvalue()


def mean_dice(rows: Sequence[Agreement]) -> dict[str, tuple[float, int]]:
    """Return each class's mean Dice over scans and pairs of readers, and over how many of these it is.

    Pairs in which nobody marked the class say nothing about how it is drawn and do not enter the mean.
    """
    summed: dict[str, tuple[float, int]] = {}
    for name in dict.fromkeys(row.score.name for row in rows):
        dice = [row.score.dice for row in rows if row.score.name == name and row.score.status != "both_empty"]
        if dice:
            summed[name] = (float(np.mean(dice)), len(dice))
    return summed
