"""File names of volumes: which endings are read, what the stem is, and safe case ids."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from firstscan.domain.case import Case, repeated

ENDINGS = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".dcm": "dicom",
    ".nii.bz2": "nifti-bz2",
    ".img": "pair",
    ".mgz": "mgh",
    ".mgh": "mgh",
}
"""Lower-case file endings that hold volumes, and the format each one means."""

OTHER_KINDS = frozenset({"nifti-bz2", "pair", "mgh"})
"""Formats that are read in plain folders and tables, and do not decide how a source is read."""
VOLUME_ENDINGS = tuple(ending for ending, kind in ENDINGS.items() if kind not in {"dicom", *OTHER_KINDS})
_CHUNK = 1 << 20
_LONGEST_ID = 120


def split_ending(name: str) -> tuple[str, str]:
    """Split a file name into its stem and its known ending (empty where the ending is unknown)."""
    lower = name.lower()
    for ending in ENDINGS:
        if lower.endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return name, ""


def is_volume(name: str) -> bool:
    """Tell whether a file name looks like a NIfTI, NRRD or MetaImage volume (hidden files never do)."""
    return not name.startswith(".") and split_ending(name)[1].lower() in VOLUME_ENDINGS


def is_other(path: str) -> bool:
    """Tell whether a file's ending says one of the formats that only nibabel reads."""
    return ENDINGS.get(split_ending(Path(path).name)[1].lower()) in OTHER_KINDS


def is_nifti(path: str) -> bool:
    """Tell whether a file's ending says NIfTI."""
    return ENDINGS.get(split_ending(Path(path).name)[1].lower()) == "nifti"


def is_dicom_name(path: str) -> bool:
    """Tell whether a file's ending says DICOM, or nothing at all."""
    return ENDINGS.get(split_ending(Path(path).name)[1].lower(), "dicom") == "dicom"


def file_type(case: Case) -> str:
    """Name the format of a case's first file: ``nifti``, ``nrrd``, ``metaimage``, ``dicom``, …."""
    if case.channels[0].files:
        return "dicom"
    return ENDINGS.get(split_ending(Path(case.path).name)[1].lower(), "dicom")


def safe_id(name: str) -> str:
    """Turn any text into a case id that is safe as a file name, in a table and on a command line.

    Letters and digits of any script, ``.``, ``_`` and ``-`` stay; every other run of characters becomes ``_``.
    The result never starts with ``.`` or ``-`` and is at most 120 characters long (a hash keeps long ones apart).
    """
    clean = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).lstrip(".-").rstrip(".") or "_"
    if len(clean) > _LONGEST_ID:
        clean = f"{clean[: _LONGEST_ID - 9]}-{digest(name)}"
    return clean


def safe_ids(names: Sequence[str]) -> list[str]:
    """Return safe ids; those that only differ in unsafe characters get a hash of the original."""
    safe = [safe_id(n) for n in names]
    clash = set(repeated(safe))
    return [f"{s}-{digest(n)}" if s in clash else s for s, n in zip(safe, names, strict=True)]


def printable(path: str | Path) -> str:
    """Return a path as text that can be printed and stored; bytes that are no UTF-8 are written as ``\\xe4``."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def digest(text: str) -> str:
    """Return eight hexadecimal digits that tell one text from another."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def fingerprint(case: Case) -> str:
    """Return the SHA-256 over the bytes of every file of ``case``, in channel order, as 64 hexadecimal digits.

    Raises
    ------
    OSError : a file cannot be opened.
    """
    total = hashlib.sha256()
    for path in case.paths:
        with Path(path).open("rb") as file:
            while block := file.read(_CHUNK):
                total.update(block)
    return total.hexdigest()
