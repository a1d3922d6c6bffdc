"""BIDS: a derivative dataset of the picks, ready for ``*_dseg.nii.gz`` masks."""

from __future__ import annotations

import json
import re
from pathlib import Path

from firstscan.domain.case import Channel

from .material import Handed, Material, Place
from .names import safe_names, write_table

_SUFFIXES = {"t1": "T1w", "t1w": "T1w", "t2": "T2w", "t2w": "T2w", "flair": "FLAIR", "pd": "PDw", "ct": "ct"}


def write_bids(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``sub-<label>/anat/…`` images, ``participants.tsv`` in rank order and ``dataset_description.json``.

    A contrast that BIDS names keeps its suffix; anything else becomes ``acq-<name>_MRI`` spelled in BIDS letters.

    References
    ----------
    Brain Imaging Data Structure 1.10, Derivatives.
    """
    labels = safe_names(material.selection.case_ids, pattern=r"[^A-Za-z0-9]+", filler="")
    rows = []
    for pick, case in material:
        subject = f"sub-{labels[case.case_id]}"
        anat = folder / subject / "anat"
        for channel in case.channels:
            place(channel, anat / f"{subject}{_entities(channel.name)}.nii.gz")
        if case.case_id in material.labels:
            place(Channel("label", material.labels[case.case_id]), anat / f"{subject}_dseg.nii.gz")
        rows.append((subject, pick.rank, case.case_id, pick.reason))
    description = {
        "Name": material.name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "firstscan", "Description": f"picks of strategy {material.selection.strategy}"}],
        "SourceDatasets": [{"URL": Path(material.pool.source).name}],
    }
    (folder / "dataset_description.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    write_table(folder / "participants.tsv", ("participant_id", "rank", "case_id", "reason"), rows, delimiter="\t")
    return Handed("bids", folder, "Save each mask beside its image as <subject>_dseg.nii.gz.")


def _entities(channel: str) -> str:
    known = _SUFFIXES.get(channel.lower())
    if known:
        return f"_{known}"
    acquisition = re.sub(r"[^A-Za-z0-9]+", "", channel) or "image"
    return f"_acq-{acquisition}_MRI"
