"""Plain tables: the picks in rank order, and the DICOM series behind them."""

from __future__ import annotations

from pathlib import Path

from .material import Handed, Material, Place
from .names import write_table


def write_csv(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``picks.csv``: rank, case, reason and the path of every channel; no scan is touched."""
    del place
    path = folder / "picks.csv"
    write_table(
        path,
        ("rank", "case_id", "stratum", "reason", "path", "channels"),
        (
            (p.rank, p.case_id, p.stratum, p.reason, c.path, "|".join(f"{ch.name}={ch.path}" for ch in c.channels))
            for p, c in material
        ),
    )
    return Handed("csv", path, f"{len(material.selection)} picks in rank order.")


def write_dicom_list(material: Material, folder: Path, place: Place) -> Handed:
    """Write ``series.csv``: one line a series (one channel of one pick), with its folder and number of slices.

    Unique identifiers appear where the index kept them (``series_uid``, ``study_uid``, ``patient`` columns).
    """
    del place
    path = folder / "series.csv"
    write_table(
        path,
        ("rank", "case_id", "channel", "patient", "study_uid", "series_uid", "slices", "path", "reason"),
        (
            (
                p.rank,
                p.case_id,
                channel.name,
                c.metadata.get("patient"),
                c.metadata.get("study_uid"),
                c.metadata.get("series_uid"),
                len(channel.files) or None,
                channel.path,
                p.reason,
            )
            for p, c in material
            for channel in c.channels
        ),
    )
    return Handed("dicom-list", path, f"The series of {len(material.selection)} picks, for your archive's worklist.")
