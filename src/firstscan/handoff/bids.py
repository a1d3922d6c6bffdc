"""BIDS: a derivative dataset of the picks, ready for ``*_dseg.nii.gz`` masks."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .material import Handed, Item, Material, Place
from .names import safe_names, write_table

_SUFFIXES = {"t1": "T1w", "t1w": "T1w", "t2": "T2w", "t2w": "T2w", "flair": "FLAIR", "pd": "PDw", "ct": "ct"}
_COLUMNS = {
    "rank": "place in the order of annotation; 1 comes first",
    "case_id": "the scan's name in firstscan",
    "reason": "why the scan was chosen",
}
_IGNORED = ("manifest.json", "handoff.json", "work", "*_MRI.nii.gz", "*_ct.nii.gz")
"""What is no BIDS file, or bears a suffix that BIDS has not (yet) named."""


def write_bids(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``sub-<label>/anat/…`` images, ``participants.tsv`` in rank order and ``dataset_description.json``.

    A contrast that BIDS names keeps its suffix; anything else becomes ``acq-<name>_MRI`` spelled in BIDS letters.

    References
    ----------
    Brain Imaging Data Structure 1.10, Derivatives.
    """
    labels = safe_names(material.selection.case_ids, pattern=r"[^A-Za-z0-9]+", filler="")
    rows, items = [], []
    for pick, case in material:
        subject = f"sub-{labels[case.case_id]}"
        anat = folder / subject / "anat"
        entities = _distinct([c.name for c in case.channels])
        images = tuple((c.name, anat / f"{subject}{e}.nii.gz") for c, e in zip(case.channels, entities, strict=True))
        for channel, (_, image) in zip(case.channels, images, strict=True):
            place(channel, image)
        given = material.place_label(case.case_id, anat / f"{subject}_dseg.nii.gz", place)
        rows.append((subject, pick.rank, case.case_id, pick.reason))
        items.append(Item(case.case_id, pick.rank, subject, images, given))
    _describe(material, folder)
    write_table(folder / "participants.tsv", ("participant_id", *_COLUMNS), rows, delimiter="\t")
    message = "Save each mask beside its image as <subject>_dseg.nii.gz."
    (folder / "README").write_text(
        f"{material.name}: scans to annotate first, in order.\n{message}\n", encoding="utf-8"
    )
    return Handed("bids", folder, message, tuple(items))


def _describe(material: Material, folder: Path) -> None:
    description = {
        "Name": material.name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "firstscan", "Description": f"picks of strategy {material.selection.strategy}"}],
        "SourceDatasets": [{"Version": "neutral names" if material.neutral else Path(material.pool.source).name}],
    }
    columns = {name: {"Description": text} for name, text in _COLUMNS.items()}
    for name, content in (("dataset_description.json", description), ("participants.json", columns)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / ".bidsignore").write_text("\n".join(_IGNORED) + "\n", encoding="utf-8")


def _distinct(channels: list[str]) -> list[str]:
    """Return each channel's entities; channels that BIDS spells alike are told apart by ``run``."""
    spelled = [_entities(name) for name in channels]
    made = []
    for i, text in enumerate(spelled):
        run = f"_run-{spelled[: i + 1].count(text)}" if spelled.count(text) > 1 else ""
        head, _, suffix = text.rpartition("_")
        made.append(f"{head}{run}_{suffix}")
    return made


def _entities(channel: str) -> str:
    known = _SUFFIXES.get(channel.lower())
    if known:
        return f"_{known}"
    acquisition = re.sub(r"[^A-Za-z0-9]+", "", channel) or "image"
    return f"_acq-{acquisition}_MRI"
