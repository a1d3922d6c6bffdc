"""MITK Workbench: a segmentation task list that opens with one click."""

from __future__ import annotations

import json
from pathlib import Path

from .material import Handed, Material, Place
from .names import safe_names, write_table


def write_mitk(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``<name>.json`` with one task a pick, in rank order; results go to ``segmentations/``.

    References
    ----------
    MITK documentation, Segmentation Task Lists, file format version 1.
    """
    names = safe_names(material.selection.case_ids)
    (folder / "segmentations").mkdir()
    tasks = []
    for pick, case in material:
        name = names[case.case_id]
        image = f"images/{name}.nii.gz"
        place(case.channels[0], folder / image)
        tasks.append(
            {
                "Name": f"{pick.rank}. {case.case_id}",
                "Description": pick.reason,
                "Image": image,
                "Result": f"segmentations/{name}.nrrd",
            }
        )
    content = {
        "FileFormat": "MITK Segmentation Task List",
        "Version": 1,
        "Name": material.name,
        "Tasks": tasks,
    }
    path = folder / "tasks.mitktasklist.json"
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_table(folder / "names.csv", ("name", "case_id"), ((names[c], c) for c in material.selection.case_ids))
    return Handed("mitk", path, "Open this file in MITK Workbench; its Segmentation Task List view walks the picks.")
