"""MITK FlowBench: a segmentation task list that opens with one click."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .material import Handed, Item, Material, Place
from .names import safe_names, with_extras, write_table


def write_mitk(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``tasks.mitktasklist.json`` with one task a pick, in rank order; results go to ``segmentations/``.

    An existing label map is the task's pre-segmentation, class names are suggested. A task shows one image: further
    channels lie in ``extra/``.

    References
    ----------
    MITK documentation, Segmentation Task Lists, file format version 1.
    """
    names = safe_names(material.selection.case_ids)
    (folder / "segmentations").mkdir()
    tasks, items = [], []
    for pick, case in material:
        name = names[case.case_id]
        channels = [channel.name for channel in case.channels]
        images = with_extras(channels, folder / "images" / f"{name}.nii.gz", folder / "extra", name)
        for channel, (_, image) in zip(case.channels, images, strict=True):
            place(channel, image)
        given = material.place_label(case.case_id, folder / "before" / f"{name}.nii.gz", place)
        task = {
            "Name": f"{pick.rank}. {case.case_id}",
            "Description": pick.reason,
            "Image": f"images/{name}.nii.gz",
            "Result": f"segmentations/{name}.nrrd",
        }
        tasks.append({**task, "Segmentation": f"before/{name}.nii.gz"} if given else task)
        items.append(Item(case.case_id, pick.rank, name, images, given))
    content: dict[str, Any] = {"FileFormat": "MITK Segmentation Task List", "Version": 1, "Name": material.name}
    if material.classes:
        named = [{"name": label} for label, _ in sorted(material.classes.items(), key=lambda pair: pair[1])]
        (folder / "labels.json").write_text(json.dumps(named, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        content["Defaults"] = {"LabelNameSuggestions": "labels.json"}
    path = folder / "tasks.mitktasklist.json"
    path.write_text(json.dumps({**content, "Tasks": tasks}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_table(folder / "names.csv", ("name", "case_id"), ((names[c], c) for c in material.selection.case_ids))
    return Handed(
        "mitk", path, "Open this file in MITK FlowBench; its Segmentation Task List view walks the picks.", tuple(items)
    )
