"""3D Slicer: a case list for SlicerCaseIterator, and one for SlicerCART."""

from __future__ import annotations

from pathlib import Path

import yaml

from .material import Handed, Item, Material, Place
from .names import safe_names, write_table


def write_slicer(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``cases.csv`` for SlicerCaseIterator: ``ID``, ``image``, further channels, ``mask`` where labels exist.

    The columns bear the names that the module looks for unasked; ``path`` (its root folder) is the table's own.
    """
    items = _items(material, folder, place, labels="masks")
    extra = max(len(item.images) for item in items) - 1
    reasons = {pick.case_id: pick.reason for pick, _ in material}
    rows = []
    for item in items:
        first, *others = (path.relative_to(folder) for _, path in item.images)
        mask = item.given and item.given.relative_to(folder)
        padded = [*others, *[None] * (extra - len(others))]
        rows.append((item.case_id, item.rank, ".", first, mask, *padded, reasons[item.case_id]))
    header = ("ID", "rank", "path", "image", "mask", *(f"image{i + 2}" for i in range(extra)), "reason")
    path = folder / "cases.csv"
    write_table(path, header, rows)
    more = ", ".join(f"image{i + 2}" for i in range(extra))
    message = "Load cases.csv as a table in 3D Slicer and start SlicerCaseIterator on it"
    message += f" (additional images: {more})." if more else "."
    return Handed("slicer", path, message + " Without it: save masks as segmentations/<name>.seg.nrrd.", items)


def write_slicercart(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``cases.yaml`` for SlicerCART: the list ``CASES`` of image files in rank order."""
    items = _items(material, folder, place, labels="masks")
    path = folder / "cases.yaml"
    cases = [item.images[0][1].relative_to(folder).as_posix() for item in items]
    path.write_text(yaml.safe_dump({"CASES": cases}, sort_keys=False, allow_unicode=True), encoding="utf-8")
    message = "Choose images/ as SlicerCART's volumes, segmentations/ as its output, and cases.yaml as the case list."
    return Handed("slicercart", path, message, items)


def _items(material: Material, folder: Path, place: Place, *, labels: str) -> tuple[Item, ...]:
    """Place every channel under ``images/`` and what is labelled already under ``labels``."""
    names = safe_names(material.selection.case_ids)
    (folder / "segmentations").mkdir()
    items = []
    for pick, case in material:
        name, single = names[case.case_id], len(case.channels) == 1
        images = tuple(
            (c.name, folder / "images" / f"{name}{'' if single else f'_{i:04d}'}.nii.gz")
            for i, c in enumerate(case.channels)
        )
        for channel, (_, image) in zip(case.channels, images, strict=True):
            place(channel, image)
        given = material.place_label(case.case_id, folder / labels / f"{name}.nii.gz", place)
        items.append(Item(case.case_id, pick.rank, name, images, given))
    write_table(folder / "names.csv", ("name", "case_id"), ((names[c], c) for c in material.selection.case_ids))
    return tuple(items)
