"""ITK-SNAP: one workspace a pick, numbered in rank order."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from .material import Handed, Item, Material, Place
from .names import safe_names, write_table


def write_itksnap(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``<rank>_<name>.itksnap`` beside ``images/``; the first channel is the main image, others overlay it.

    An existing label map opens as the segmentation, at ``segmentations/<name>.nii.gz``, where finished ones belong too.
    """
    names = safe_names(material.selection.case_ids)
    (folder / "segmentations").mkdir()
    items = []
    for pick, case in material:
        name = names[case.case_id]
        images = tuple((c.name, folder / "images" / f"{name}_{i:04d}.nii.gz") for i, c in enumerate(case.channels))
        for channel, (_, image) in zip(case.channels, images, strict=True):
            place(channel, image)
        given = material.place_label(case.case_id, folder / "segmentations" / f"{name}.nii.gz", place)
        layers = [(path, "OverlayRole" if i else "MainRole", nick) for i, (nick, path) in enumerate(images)]
        layers += [(given, "SegmentationRole", "")] if given else []
        workspace = folder / f"{pick.rank:0{material.rank_width}d}_{name}.itksnap"
        workspace.write_bytes(_workspace(folder, layers, named=len(images) > 1))
        items.append(Item(case.case_id, pick.rank, name, images, given))
    write_table(
        folder / "names.csv",
        ("name", "case_id", "rank", "reason"),
        ((names[p.case_id], p.case_id, p.rank, p.reason) for p, _ in material),
    )
    message = (
        "Open the .itksnap workspaces in order and save each segmentation as segmentations/<name>.nii.gz; names.csv "
        "says why each scan was chosen."
    )
    return Handed("itksnap", folder, message, tuple(items))


def _workspace(folder: Path, layers: list[tuple[Path, str, str]], *, named: bool) -> bytes:
    root = ET.Element("registry")
    _entry(root, "SaveLocation", str(folder))
    _entry(root, "Version", "20190612")
    listed = ET.SubElement(root, "folder", key="Layers")
    for i, (path, role, nick) in enumerate(layers):
        layer = ET.SubElement(listed, "folder", key=f"Layer[{i:03d}]")
        _entry(layer, "AbsolutePath", str(path))
        _entry(layer, "Role", role)
        if named and nick:
            meta = ET.SubElement(layer, "folder", key="LayerMetaData")
            _entry(meta, "CustomNickName", nick)
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8" ?>\n' + body


def _entry(parent: ET.Element, key: str, value: str) -> None:
    ET.SubElement(parent, "entry", key=key, value=value)
