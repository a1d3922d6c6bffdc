"""3D Slicer: a case list for SlicerCaseIterator, and one for SlicerCART."""

from __future__ import annotations

from pathlib import Path

import yaml

from firstscan.domain.case import Channel

from .material import Handed, Material, Place
from .names import safe_names, write_table


def write_slicer(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``cases.csv`` for SlicerCaseIterator: ``ID``, ``image``, further channels, ``mask`` where labels exist."""
    images = _images(material, folder, place)
    extra = max((len(files) for files in images.values()), default=1) - 1
    rows = []
    for pick, case in material:
        files = images[case.case_id]
        mask = None
        if case.case_id in material.labels:
            mask = Path("masks") / Path(files[0]).name
            place(Channel("label", material.labels[case.case_id]), folder / mask)
        others = [*files[1:], *[None] * (extra - len(files) + 1)]
        rows.append((case.case_id, pick.rank, files[0], mask, *others, pick.reason))
    header = ("ID", "rank", "image", "mask", *(f"image{i + 2}" for i in range(extra)), "reason")
    path = folder / "cases.csv"
    write_table(path, header, rows)
    return Handed("slicer", path, "Load cases.csv in SlicerCaseIterator with root folder = this folder.")


def write_slicercart(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``cases.yaml`` for SlicerCART: the list ``CASES`` of image files in rank order."""
    images = _images(material, folder, place)
    path = folder / "cases.yaml"
    cases = [images[case.case_id][0] for _, case in material]
    path.write_text(yaml.safe_dump({"CASES": cases}, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return Handed("slicercart", path, "Choose this folder in SlicerCART and load cases.yaml as the case list.")


def _images(material: Material, folder: Path, place: Place) -> dict[str, list[str]]:
    """Place every channel under ``images/`` and return the relative paths by case."""
    names = safe_names(material.selection.case_ids)
    images: dict[str, list[str]] = {}
    for _, case in material:
        single = len(case.channels) == 1
        images[case.case_id] = [
            f"images/{names[case.case_id]}{'' if single else f'_{i:04d}'}.nii.gz" for i in range(len(case.channels))
        ]
        for channel, relative in zip(case.channels, images[case.case_id], strict=True):
            place(channel, folder / relative)
    write_table(folder / "names.csv", ("name", "case_id"), ((names[c], c) for c in material.selection.case_ids))
    return images
