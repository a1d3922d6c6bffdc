"""Which label map of a results folder is the prediction of which pick."""

from __future__ import annotations

import csv
from pathlib import Path

from firstscan.domain.errors import DataError

PREDICTIONS, TABLE = "predictions", "predictions.csv"
"""Folder in a results folder, and the table in it."""
COLUMNS = ("case_id", "label", "round", "model")


def read_predicted(folder: Path) -> dict[str, tuple[str, str, str]]:
    """Return ``{case id: (file name, round, model)}`` of a folder of predictions; empty where there is none."""
    table = folder / TABLE
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        return {row["case_id"]: (row["label"], row["round"], row["model"]) for row in csv.DictReader(file)}


def predicted_labels(results: Path) -> dict[str, str]:
    """Return ``{case id: predicted label map}`` of a results folder, absolute.

    Raises
    ------
    DataError : label maps that its table lists are gone.
    """
    folder = (results / PREDICTIONS).absolute()
    found = {i: folder / name for i, (name, *_) in read_predicted(folder).items()}
    gone = [i for i, path in found.items() if not path.is_file()]
    if gone:
        raise DataError(
            f"{len(gone)} predicted label map(s) that {folder / TABLE} lists are gone: {', '.join(gone[:5])}; bring "
            "them back, or make another round"
        )
    return {i: str(path) for i, path in found.items()}
