"""The way back: what a hand-off folder says of itself, so that finished labels find their scans again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstscan.domain.errors import DataError
from firstscan.domain.slices import SlicePlan

from .material import Handed

NAME = "handoff.json"
SCHEMA_VERSION = 2
"""2 marks predictions among the label maps that were handed over; a hand-off without any is written as 1."""


@dataclass(frozen=True, slots=True)
class Step:
    """One pick of a hand-off; ``images`` (channel, path) are absolute and empty where no image was placed.

    ``given`` is the label map that was handed over with it and ``given_sha256`` its bytes then; ``modality`` is what
    the source said, for normalisation. ``positions_mm`` are the planned slices of ``plane``, none where the whole scan
    is to be annotated (:class:`firstscan.domain.slices.PlannedSlices`). ``prediction`` is a copy of ``given`` where
    that is a model's prediction; tools do not save over it.
    """

    case_id: str
    rank: int
    name: str
    images: tuple[tuple[str, Path], ...]
    given: Path | None = None
    given_sha256: str = ""
    modality: str = ""
    plane: str = ""
    positions_mm: tuple[float, ...] = ()
    prediction: Path | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """A hand-off folder as it describes itself; ``reader`` is empty where the batch went to one person.

    ``classes`` maps class names to values without background and is empty where they were not known. ``ignore`` is the
    value of what was not to be annotated.
    """

    folder: Path
    target: str
    reader: str
    classes: Mapping[str, int]
    steps: tuple[Step, ...]
    ignore: int | None = None


def write_trail(
    folder: Path,
    handed: Handed,
    *,
    classes: Mapping[str, int],
    modalities: Mapping[str, str],
    reader: str = "",
    plan: SlicePlan | None = None,
    ignore: int | None = None,
    predictions: Mapping[str, Path] | None = None,
) -> Path:
    """Write ``handoff.json`` into ``folder``; paths in it are relative, so that the folder may be moved.

    ``predictions`` (case id → copy) are the label maps among those handed over that a model made.
    """
    picks = [
        {
            "case_id": item.case_id,
            "rank": item.rank,
            "name": item.name,
            "modality": modalities.get(item.case_id, ""),
            "images": [[channel, _within(path, folder)] for channel, path in item.images],
            "given": None if item.given is None else _within(item.given, folder),
            "given_sha256": "" if item.given is None else sha256(item.given),
            **_planned(plan, item.case_id),
            **_predicted(predictions or {}, item.case_id, folder),
        }
        for item in handed.items
    ]
    content = {
        "schema_version": SCHEMA_VERSION if predictions else 1,
        "target": handed.target,
        "reader": reader,
        "classes": dict(classes),
        "picks": picks,
        "ignore": ignore,
    }
    path = folder / NAME
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_trail(folder: Path) -> Trail:
    """Return what ``folder`` says of itself.

    Raises
    ------
    DataError : its ``handoff.json`` is damaged, or written by a newer version.
    """
    path = folder / NAME
    try:
        body: Any = json.loads(path.read_text(encoding="utf-8"))
        if body["schema_version"] > SCHEMA_VERSION:
            raise DataError(f"{path} was written by a newer firstscan; update firstscan to read it")
        return Trail(
            folder,
            body["target"],
            body["reader"],
            {str(name): int(value) for name, value in body["classes"].items()},
            tuple(_step(row, folder) for row in body["picks"]),
            body.get("ignore"),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error!r}); hand off again, or copy the file back") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _step(row: Mapping[str, Any], folder: Path) -> Step:
    return Step(
        row["case_id"],
        int(row["rank"]),
        row["name"],
        tuple((channel, folder / path) for channel, path in row["images"]),
        None if row["given"] is None else folder / row["given"],
        row["given_sha256"],
        row["modality"],
        row.get("plane", ""),
        tuple(float(p) for p in row.get("positions_mm", ())),
        folder / row["prediction"] if row.get("prediction") else None,
    )


def _predicted(predictions: Mapping[str, Path], case_id: str, folder: Path) -> dict[str, object]:
    return {"prediction": _within(predictions[case_id], folder)} if case_id in predictions else {}


def _planned(plan: SlicePlan | None, case_id: str) -> dict[str, object]:
    case = None if plan is None else plan.of(case_id)
    return {} if case is None else {"plane": case.plane, "positions_mm": list(case.positions_mm)}


def _within(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
