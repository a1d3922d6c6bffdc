"""Which label map stands for each scan, where one or several readers drew it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstscan.domain.errors import UsageError
from firstscan.domain.slices import ignore_value, refuse_class
from firstscan.handoff.names import safe_names
from firstscan.segmentation.grids import read_labels, write_labels

from .agreement import by_majority
from .returned import Part
from .returned_map import Drawn
from .training_set import Taken

LABELS = "labels"
"""The folder of the label maps that stand."""


@dataclass(frozen=True)
class Marks:
    """How slices that nobody annotated are marked: in what ``came`` back, and in the ``final`` label maps."""

    came: int
    final: int


def marks_of(parts: Sequence[Part], classes: Mapping[str, int]) -> Marks | None:
    """Return the ignore values, None where whole scans were handed over.

    Raises
    ------
    UsageError : hand-offs with different ignore values, or one that is also a class.
    """
    found = sorted({part.trail.ignore for part in parts if part.trail.ignore is not None})
    if not found:
        return None
    if len(found) > 1:
        raise UsageError(
            f"slices that are not to be annotated hold the values {' and '.join(map(str, found))} in different "
            "hand-offs; collect each hand-off by itself, with the classes that it was made for"
        )
    refuse_class(found[0], classes, "the hand-offs")
    return Marks(found[0], ignore_value(classes))


def keys_of(usable: Mapping[str, Mapping[str, Drawn]]) -> list[tuple[str, str]]:
    """Return (case id, reader) of every usable label map."""
    return [(case_id, reader) for case_id, by_reader in usable.items() for reader in by_reader]


def standing(
    usable: Mapping[str, Mapping[str, Drawn]],
    values: Mapping[tuple[str, str], tuple[int, ...]],
    ranks: Mapping[str, int],
    consensus: str,
    out: Path,
    *,
    marks: Marks | None,
) -> tuple[Taken, ...]:
    """Write the label map that stands for each scan to ``labels/`` and return them in rank order."""
    names = safe_names(usable)
    (out / LABELS).mkdir(exist_ok=True)
    taken = []
    for case_id in (c for c in ranks if c in usable):
        by_reader = usable[case_id]
        target = out / LABELS / f"{names[case_id]}.nii.gz"
        first = next(iter(by_reader))
        voted = consensus == "majority" and len(by_reader) > 1
        if voted:
            by_majority(
                [item.copy for item in by_reader.values()], target, ignore=None if marks is None else marks.came
            )
        else:
            target.write_bytes(by_reader[first].copy.read_bytes())
        if marks is not None and marks.came != marks.final:
            labels, grid = read_labels(target)
            write_labels(np.where(labels == marks.came, marks.final, labels), grid, target)
        held = {v for reader in by_reader for v in values[case_id, reader]} if voted else set(values[case_id, first])
        taken.append(Taken(case_id, ";".join(by_reader) if voted else first, target, tuple(sorted(held))))
    return tuple(taken)


def labelled_table(labels: Sequence[Taken], ranks: Mapping[str, int], out: Path) -> str:
    """Return ``labelled.csv``: case_id, label (a path from the table's folder), reader, in rank order."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("case_id", "label", "reader", "rank"))
    for taken in labels:
        path = taken.path.relative_to(out).as_posix()
        writer.writerow((taken.case_id, path, taken.reader, ranks[taken.case_id]))
    return text.getvalue()
