"""Label maps on disk: which one belongs to which scan, and which classes they hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.names.pseudonyms import Pseudonyms
from firstscan.execution import run_cases
from firstscan.segmentation.dataset import split_labels
from firstscan.segmentation.grids import read_labels

from .matching import match_labels

COLLECTED = "collected.json"
"""In ``work`` of a collection of labels: what was written there, and for which batch."""
LABELLED = "labelled.csv"
"""The table of `firstscan collect`: case_id, label (a path from the table's folder), reader."""


def labels_of(place: Path, case_ids: Iterable[str], key: Pseudonyms | None = None) -> dict[str, str]:
    """Return ``{case id: label file}`` from a folder of label maps, or from what ``firstscan collect`` made.

    With a ``key`` to neutral names a label map may be called by the neutral or by the original name of its scan.

    Raises
    ------
    UsageError : no such folder or table.  DataError : two files fit one case, or a listed label map is gone.
    """
    table = place / LABELLED if place.is_dir() else place
    if not (table.is_file() and table.suffix.lower() == ".csv"):
        return match_labels(place, case_ids, key)
    listed, wanted = read_labelled(table), frozenset(case_ids)
    return {case_id: path for case_id, path in listed.items() if case_id in wanted}


def read_labelled(table: Path) -> dict[str, str]:
    """Return ``{case id: label file}`` of a ``labelled.csv``, absolute.

    Raises
    ------
    UsageError : not such a table.  DataError : a label map in it is gone.
    """
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if rows and not {"case_id", "label"} <= rows[0].keys():
        raise UsageError(f"{table} lists no label maps: its columns case_id and label are missing")
    found = {row["case_id"]: table.parent.absolute() / row["label"] for row in rows}
    gone = [case_id for case_id, path in found.items() if not path.is_file()]
    if gone:
        raise DataError(
            f"{len(gone)} label map(s) that {table} lists are gone: {', '.join(gone[:5])}; collect them again"
        )
    return {case_id: str(path) for case_id, path in found.items()}


def read_classes(folder: Path) -> dict[str, int]:
    """Return class names and values from a ``dataset.json`` in, above or one below ``folder``; empty without one.

    nnU-Net's ``{name: value}`` and the Decathlon's ``{value: name}`` are understood; background is left out, and the
    value of voxels that nobody annotated is no class.
    """
    path = _described_by(folder)
    return {} if path is None else read_label_names(path)[0]


def read_ignore(folder: Path) -> int | None:
    """Return the value of voxels that nobody annotated, by the ``dataset.json`` that :func:`read_classes` reads."""
    path = _described_by(folder)
    return None if path is None else read_label_names(path)[1]


def _described_by(place: Path) -> Path | None:
    folder = place.parent if place.is_file() else place  # a labelled.csv lies beside its data set
    below = sorted(folder.glob("Dataset*/dataset.json")) if folder.is_dir() else []
    places = (folder / "dataset.json", folder.parent / "dataset.json", *below)
    return next((path for path in places if path.is_file()), None)


def find_classes(labels: Mapping[str, str], *, workers: int | None = None) -> dict[str, int]:
    """Return ``{"class 1": 1, …}`` for the values that occur in ``labels`` (case id → file).

    Raises
    ------
    DataError : a label map cannot be read or holds negative values, or none holds anything but background.
    """
    values: set[int] = set()
    for case_id, found in run_cases(_values, sorted(labels.items()), workers=workers):
        if isinstance(found, Exception):
            raise found
        if min(found) < 0:
            raise DataError(
                f"{case_id}: the label map holds the value {min(found)}; background is 0 and classes are 1, 2, 3, …. "
                "Renumber it, or set what is meant to be background to 0."
            )
        values |= found
    values.discard(0)
    if not values:
        raise DataError(f"none of the {len(labels)} label maps holds anything but background 0; check the folder")
    return {f"class {v}": v for v in sorted(values)}


def _values(path: str) -> set[int]:
    return {int(v) for v in np.unique(read_labels(Path(path))[0])}


def read_label_names(path: Path) -> tuple[dict[str, int], int | None]:
    """Return the classes of a ``dataset.json`` (name → value) and its ignore value, None where it has none.

    Raises
    ------
    DataError : it names no classes, regions instead of classes, or an ignore value that is a class.
    """
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        if all(str(k).isdigit() for k in labels):
            labels = {str(name): int(value) for value, name in labels.items()}
        classes, ignore = split_labels(labels)
        return {name: value for name, value in classes.items() if value != 0}, ignore
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} does not name its classes as nnU-Net or the Decathlon do: {error!r}") from error
