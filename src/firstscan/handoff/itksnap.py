"""ITK-SNAP: one workspace a pick, numbered in rank order."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from .material import Handed, Material, Place
from .names import safe_names, write_table


def write_itksnap(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``<rank>_<name>.itksnap`` beside ``images/``; the first channel is the main image, others overlay it."""
    width = max(3, len(str(len(material.selection))))
    names = safe_names(material.selection.case_ids)
    for pick, case in material:
        name = names[case.case_id]
        root = ET.Element("registry")
        workspace = folder / f"{pick.rank:0{width}d}_{name}.itksnap"
        _entry(root, "SaveLocation", str(folder))
        _entry(root, "Version", "20190612")
        layers = ET.SubElement(root, "folder", key="Layers")
        for i, channel in enumerate(case.channels):
            image = folder / "images" / f"{name}_{i:04d}.nii.gz"
            place(channel, image)
            layer = ET.SubElement(layers, "folder", key=f"Layer[{i:03d}]")
            _entry(layer, "AbsolutePath", str(image))
            _entry(layer, "Role", "MainRole" if i == 0 else "OverlayRole")
            if len(case.channels) > 1:
                meta = ET.SubElement(layer, "folder", key="LayerMetaData")
                _entry(meta, "CustomNickName", channel.name)
        ET.indent(root)
        workspace.write_bytes(b'<?xml version="1.0" encoding="UTF-8" ?>\n' + ET.tostring(root, encoding="utf-8"))
    write_table(
        folder / "names.csv",
        ("name", "case_id", "rank", "reason"),
        ((names[p.case_id], p.case_id, p.rank, p.reason) for p, _ in material),
    )
    return Handed("itksnap", folder, "Open the .itksnap workspaces in order; names.csv says why each was chosen.")


def _entry(parent: ET.Element, key: str, value: str) -> None:
    ET.SubElement(parent, "entry", key=key, value=value)
