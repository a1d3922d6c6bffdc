"""nnU-Net v2: a raw dataset of the picks, complete where their labels exist."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.slices import IGNORE

from .material import Handed, Item, Material, Place
from .names import safe_names, write_table

NAMES = "names.csv"
DATASET_ID = 1


def write_nnunet(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``Dataset001_<name>`` with images, ``dataset.json``, ``names.csv``, and labels where they exist.

    Without labels, ``labelsTr`` is empty and ``numTraining`` says how many are awaited; names lead back to case ids.

    Raises
    ------
    DataError : some picks have labels and others do not, picks differ in their channels, or class values have gaps.

    References
    ----------
    nnU-Net v2, documentation/dataset_format.md.
    """
    picks = list(material)
    channel_names = _channel_names(material)
    labelled = [pick.case_id for pick, _ in picks if pick.case_id in material.labels]
    if labelled and len(labelled) < len(picks):
        missing = [pick.case_id for pick, _ in picks if pick.case_id not in material.labels]
        raise DataError(
            f"{len(missing)} of {len(picks)} picks have no label: {', '.join(missing[:5])}; "
            "annotate them, or hand off without labels"
        )
    dataset = folder / dataset_name(material.name)
    names = safe_names([pick.case_id for pick, _ in picks])
    for part in ("imagesTr", "labelsTr"):
        (dataset / part).mkdir(parents=True)
    items = []
    for pick, case in picks:
        name = names[case.case_id]
        images = tuple((c.name, dataset / "imagesTr" / f"{name}_{i:04d}.nii.gz") for i, c in enumerate(case.channels))
        for channel, (_, image) in zip(case.channels, images, strict=True):
            place(channel, image)
        given = material.place_label(case.case_id, dataset / "labelsTr" / f"{name}.nii.gz", place)
        items.append(Item(case.case_id, pick.rank, name, images, given))
    write_dataset_json(dataset, channel_names, material.classes, len(picks), ignore=material.ignore)
    write_table(
        dataset / NAMES,
        ("name", "case_id", "rank", "reason", "image", "label"),
        (
            (
                names[p.case_id],
                p.case_id,
                p.rank,
                p.reason,
                material.shown_path(c.path),
                material.shown_label(p.case_id),
            )
            for p, c in picks
        ),
    )
    planned = material.selection.slices is not None
    todo = f"put {len(picks)} label maps into labelsTr as <name>.nii.gz"
    if planned or labelled:
        todo = "annotate the slices that hold 0 in labelsTr" if planned else "ready to train"
    message = f"nnU-Net raw dataset {dataset.name}: {todo}; names.csv leads back to case ids."
    return Handed("nnunet", dataset, message, tuple(items))


def dataset_name(name: str, dataset_id: int = DATASET_ID) -> str:
    """Return ``DatasetXXX_Name`` for any name."""
    return f"Dataset{dataset_id:03d}_{re.sub(r'[^A-Za-z0-9]+', '', name) or 'Picks'}"


def write_dataset_json(
    folder: Path, channel_names: Mapping[str, str], classes: Mapping[str, int], count: int, *, ignore: int | None = None
) -> None:
    """Write ``dataset.json``; ``classes`` maps names to values 1, 2, … without gaps, ``ignore`` is the next one.

    Raises
    ------
    UsageError : values with gaps, repeated values, or a class called background.
    """
    values = sorted(classes.values())
    if values != list(range(1, len(values) + 1)) or {"background", IGNORE} & set(classes):
        raise UsageError(
            f"nnU-Net needs class values 1, 2, 3, … without gaps besides background 0; found {dict(classes)}; "
            "renumber the label maps"
        )
    ordered = dict(sorted(classes.items(), key=lambda kv: kv[1])) or {"target": 1}
    if ignore is not None:
        ordered[IGNORE] = ignore
    content = {
        "channel_names": dict(channel_names),
        "labels": {"background": 0, **ordered},
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _channel_names(material: Material) -> dict[str, str]:
    """Return nnU-Net's channel names, the same for every pick; a CT keeps its name, for its own normalisation."""
    by_case = {case.case_id: tuple(ch.name for ch in case.channels) for _, case in material}
    first_id, first = next(iter(by_case.items()))
    for case_id, names in by_case.items():
        if len(names) != len(first):
            raise DataError(
                f"{first_id} has {len(first)} channel(s) ({', '.join(first)}) but {case_id} has {len(names)} "
                f"({', '.join(names)}); name the channels to use with --channel"
            )
    modalities = {str(case.metadata.get("modality") or "").lower() for _, case in material}
    if modalities == {"ct"}:
        return {str(i): "CT" for i in range(len(first))}
    return {str(i): name if name and name.lower() != "ct" else f"channel{i}" for i, name in enumerate(first)}
