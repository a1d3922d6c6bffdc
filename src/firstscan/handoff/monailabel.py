"""MONAI Label: a datastore whose sorted order is the order of the picks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from firstscan.domain.case import Channel

from .material import Handed, Material, Place
from .names import safe_names, write_table


def write_monailabel(material: Material, folder: Path, place: Place) -> Handed:
    """Write rank-prefixed images, ``labels/`` and ``datastore_v2.json`` for ``monailabel start_server --studies``.

    Strategy ``first`` serves ids in sorted order, so the prefix gives our order with no plug-in. Existing labels go in
    as ``final``. Further channels of a scan lie beside as ``extra/<id>_<channel>.nii.gz``; MONAI Label shows the first.
    """
    width = max(3, len(str(len(material.selection))))
    names = safe_names(material.selection.case_ids, pattern=r"[^A-Za-z0-9_-]+")
    objects: dict[str, Any] = {}
    rows: list[tuple[object, ...]] = []
    (folder / "labels" / "final").mkdir(parents=True)
    for pick, case in material:
        name = f"{pick.rank:0{width}d}_{names[case.case_id]}"
        place(case.channels[0], folder / f"{name}.nii.gz")
        for channel in case.channels[1:]:
            extra = safe_names([channel.name])[channel.name]
            place(channel, folder / "extra" / f"{name}_{extra}.nii.gz")
        info = {"name": f"{name}.nii.gz", "case_id": case.case_id, "rank": pick.rank, "reason": pick.reason}
        labels: dict[str, Any] = {}
        if case.case_id in material.labels:
            place(Channel("label", material.labels[case.case_id]), folder / "labels" / "final" / f"{name}.nii.gz")
            labels["final"] = {"ext": ".nii.gz", "info": {"name": f"{name}.nii.gz"}}
        objects[name] = {"image": {"ext": ".nii.gz", "info": info}, "labels": labels}
        rows.append((name, case.case_id, pick.rank, pick.reason, case.path))
    store = {
        "name": material.name,
        "description": f"{len(rows)} scans to annotate first, chosen by firstscan ({material.selection.strategy})",
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": objects,
    }
    (folder / "datastore_v2.json").write_text(json.dumps(store, indent=2) + "\n", encoding="utf-8")
    write_table(folder / "names.csv", ("name", "case_id", "rank", "reason", "path"), rows)
    return Handed("monailabel", folder, "Start with: monailabel start_server --app <app> --studies <this folder>")
