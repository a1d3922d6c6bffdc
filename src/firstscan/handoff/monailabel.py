"""MONAI Label: a datastore whose sorted order is the order of the picks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .material import Handed, Item, Material, Place
from .names import safe_names, with_extras, write_table


def write_monailabel(material: Material, folder: Path, place: Place) -> Handed:
    """Write rank-prefixed images, ``labels/`` and ``datastore_v2.json`` for ``monailabel start_server --studies``.

    Strategy ``first`` serves ids in sorted order, so the prefix gives our order with no plug-in. Existing labels go in
    as ``final``, predictions as ``original``, the tag of what a model made. MONAI Label shows the first channel of a
    scan; the others lie beside in ``extra/``.
    """
    names = safe_names(material.selection.case_ids, pattern=r"[^A-Za-z0-9_-]+")
    objects: dict[str, Any] = {}
    rows: list[tuple[object, ...]] = []
    items = []
    (folder / "labels" / "final").mkdir(parents=True)
    for pick, case in material:
        name = f"{pick.rank:0{material.rank_width}d}_{names[case.case_id]}"
        channels = [channel.name for channel in case.channels]
        images = with_extras(channels, folder / f"{name}.nii.gz", folder / "extra", name)
        for channel, (_, image) in zip(case.channels, images, strict=True):
            place(channel, image)
        info = {"name": f"{name}.nii.gz", "case_id": case.case_id, "rank": pick.rank, "reason": pick.reason}
        labels: dict[str, Any] = {}
        kind = "original" if case.case_id in material.predicted else "final"
        given = material.place_label(case.case_id, folder / "labels" / kind / f"{name}.nii.gz", place)
        if given:
            labels[kind] = {"ext": ".nii.gz", "info": {"name": f"{name}.nii.gz"}}
        objects[name] = {"image": {"ext": ".nii.gz", "info": info}, "labels": labels}
        rows.append((name, case.case_id, pick.rank, pick.reason, material.shown_path(case.path)))
        items.append(Item(case.case_id, pick.rank, name, images, given))
    store = {
        "name": material.name,
        "description": f"{len(rows)} scans to annotate first, chosen by firstscan ({material.selection.strategy})",
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": objects,
    }
    (folder / "datastore_v2.json").write_text(json.dumps(store, indent=2) + "\n", encoding="utf-8")
    write_table(folder / "names.csv", ("name", "case_id", "rank", "reason", "path"), rows)
    message = "Start with: monailabel start_server --app <app> --studies <this folder>"
    return Handed("monailabel", folder, message, tuple(items))
