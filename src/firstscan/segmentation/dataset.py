"""An nnU-Net raw dataset folder, as every segmenter reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError
from firstscan.domain.slices import IGNORE, ignore_value

from .aligning import laid_on
from .grids import read_grid, read_labels

ENDING = ".nii.gz"


@dataclass(frozen=True, slots=True)
class RawCase:
    """One training scan: its name, one file a channel, and its label map."""

    name: str
    images: tuple[Path, ...]
    label: Path


@dataclass(frozen=True, slots=True)
class RawDataset:
    """A dataset folder: ``classes`` maps names to values without background, ``channel_names`` are in file order.

    ``ignore`` is the value of voxels that nobody annotated; it is no class. None where every voxel is annotated.
    """

    folder: Path
    channel_names: tuple[str, ...]
    classes: Mapping[str, int]
    cases: tuple[RawCase, ...]
    ignore: int | None = None


def read_dataset(folder: Path) -> RawDataset:
    """Read ``dataset.json`` and list the cases.

    Raises
    ------
    DataError : no ``dataset.json``, no case, or a pick without its label map; the message names them.
    """
    try:
        content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        channels = tuple(content["channel_names"][str(i)] for i in range(len(content["channel_names"])))
        classes, ignore = split_labels(content["labels"])
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no dataset.json; make a dataset with: firstscan handoff --to nnunet --labels FOLDER"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / 'dataset.json'} is not an nnU-Net v2 dataset.json: {error}") from error
    images = list_images(folder / "imagesTr", len(channels))
    missing = [name for name in images if not (folder / "labelsTr" / f"{name}{ENDING}").exists()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(images)} picks have no label map in {folder / 'labelsTr'}: "
            f"{', '.join(missing[:5])}; save each as <name>{ENDING}"
        )
    cases = tuple(RawCase(n, paths, folder / "labelsTr" / f"{n}{ENDING}") for n, paths in images.items())
    return RawDataset(folder, channels, classes, cases, ignore)


def split_labels(labels: Mapping[str, object]) -> tuple[dict[str, int], int | None]:
    """Return the classes (name → value, no background) of a ``dataset.json`` and its ignore value, None without one.

    Raises
    ------
    DataError : regions instead of classes, or an ignore value that is not the highest one, as nnU-Net wants it.
    """
    regions = [name for name, value in labels.items() if isinstance(value, list)]
    if regions:
        raise DataError(
            f"dataset.json names regions (several values for {', '.join(regions[:3])}); firstscan trains and scores "
            "classes. Give every class one value"
        )
    values = {name: int(str(value)) for name, value in labels.items() if name != "background"}
    ignore = values.pop(IGNORE, None)
    if ignore is not None and values and ignore <= max(values.values()):
        raise DataError(
            f"dataset.json gives {IGNORE!r} the value {ignore}; nnU-Net wants the highest of all, here "
            f"{ignore_value(values)}. Correct the label maps and dataset.json"
        )
    return values, ignore


def list_images(folder: Path, channels: int) -> dict[str, tuple[Path, ...]]:
    """Return ``{name: channel files}`` of ``<name>_0000.nii.gz`` files, sorted by name.

    Raises
    ------
    DataError : no image at all, or a channel that is missing.
    """
    first = f"_0000{ENDING}"
    names = sorted(p.name.removesuffix(first) for p in folder.glob(f"*{first}") if not p.name.startswith("._"))
    if not names:
        raise DataError(f"{folder} holds no image named <name>{first}")
    found = {n: tuple(folder / f"{n}_{i:04d}{ENDING}" for i in range(channels)) for n in names}
    gone = [str(p) for paths in found.values() for p in paths if not p.exists()]
    if gone:
        raise DataError(f"{len(gone)} channel file(s) are missing: {', '.join(gone[:3])}")
    return found


def check_dataset(dataset: RawDataset) -> tuple[str, ...]:
    """Check that label maps fit their scans and the class list; return the classes that no pick holds.

    A label map that is stored along other axes than its scan fits it: whoever trains turns it.

    Raises
    ------
    DataError : a label map on other voxels than its scan, or values that are no class; every such case is named.
    """
    problems: list[str] = []
    remedies: dict[str, None] = {}
    seen: set[int] = set()
    allowed = {0, *dataset.classes.values()} | ({dataset.ignore} if dataset.ignore is not None else set())
    classes = ", ".join(f"{name} = {value}" for name, value in dataset.classes.items())
    for case in dataset.cases:
        labels, grid = read_labels(case.label)
        try:
            laid_on(labels, grid, read_grid(case.images[0]))
        except DataError as difference:
            problems.append(f"{case.name}: the label map has another geometry than the scan: {difference}")
            remedies["Draw a label map on its own scan, or resample it to the scan's grid."] = None
        values = {int(v) for v in np.unique(labels)}
        if extra := sorted(values - allowed):
            problems.append(f"{case.name}: the label map holds {extra}, which the class list does not name")
            remedies[f"Classes: background = 0, {classes}. Correct the label maps or the class list."] = None
        if values == {dataset.ignore}:
            problems.append(f"{case.name}: every voxel of the label map is ignored")
            remedies["Annotate at least one slice of a scan, or take it out of the dataset."] = None
        seen |= values
    if problems:
        shown = "; ".join(problems[:5])
        raise DataError(f"{len(problems)} label map(s) cannot be trained on. {shown}. {' '.join(remedies)}")
    return tuple(name for name, value in dataset.classes.items() if value not in seen)
