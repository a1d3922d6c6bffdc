"""Plain tables: the picks in rank order, and the DICOM series behind them."""

from __future__ import annotations

from pathlib import Path

from .material import Handed, Item, Material, Place
from .names import safe_names, write_table


def write_csv(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``picks.csv``: rank, case, reason, the path of every channel, a label that exists; no scan is touched.

    Scans with neutral names have no path there; their key leads to them.
    """
    del place
    path = folder / "picks.csv"
    items = _items(material)
    write_table(
        path,
        ("rank", "case_id", "name", "stratum", "reason", "path", "channels", "label"),
        (
            (
                p.rank,
                p.case_id,
                item.name,
                p.stratum,
                p.reason,
                material.shown_path(c.path),
                "|".join(ch.name if material.neutral else f"{ch.name}={ch.path}" for ch in c.channels),
                material.shown_label(p.case_id),
            )
            for (p, c), item in zip(material, items, strict=True)
        ),
    )
    return Handed("csv", path, f"{len(items)} picks in rank order. {_RETURN}", items)


def write_dicom_list(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``series.csv``: one line a series (one channel of one pick), with its folder and number of slices.

    Unique identifiers appear where the index kept them (``series_uid``, ``study_uid``, ``patient`` columns).
    """
    del place
    path = folder / "series.csv"
    items = _items(material)
    write_table(
        path,
        ("rank", "case_id", "name", "channel", "patient", "study_uid", "series_uid", "slices", "path", "reason"),
        (
            (
                p.rank,
                p.case_id,
                item.name,
                channel.name,
                c.metadata.get("patient"),
                c.metadata.get("study_uid"),
                c.metadata.get("series_uid"),
                len(channel.files) or None,
                material.shown_path(channel.path),
                p.reason,
            )
            for (p, c), item in zip(material, items, strict=True)
            for channel in c.channels
        ),
    )
    said = f"The series of {len(items)} picks, for your archive's worklist. {_RETURN}"
    return Handed("dicom-list", path, said, items)


_RETURN = "Finished label maps belong in labels/ beside it, as <name>.nii.gz."


def _items(material: Material) -> tuple[Item, ...]:
    names = safe_names(material.selection.case_ids)
    return tuple(Item(pick.case_id, pick.rank, names[pick.case_id]) for pick, _ in material)
