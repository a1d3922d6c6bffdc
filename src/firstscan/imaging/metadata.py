"""What is known about a case besides its voxels: kept plain, and never a person's name."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

from firstscan.domain.case import MetadataValue

_PERSON = re.compile(
    r"^(?:patient|first|last|family|given|sur|full|birth|physician|operator|referring|subject)?[ _-]*s?[ _-]*name$"
    r"|^names?\b|^(?:date|day)[ _-]?of[ _-]?birth|^dob$|^birth[ _-]?(?:date|day)|\bbirth[ _-]?date$"
    r"|\baddress$|^(?:tele)?phone|^e-?mail",
    re.I,
)
_EMPTY = frozenset({"", "n/a", "na", "nan", "none", "null"})


def clean_metadata(row: Mapping[str, object], skip: Collection[str] = ()) -> dict[str, MetadataValue]:
    """Return the entries of ``row`` as plain values: numbers where they read as such, None where empty.

    What names or places a person (names, dates of birth, addresses) is left out.
    """
    return {
        str(key): plain_value(value)
        for key, value in row.items()
        if key is not None and key not in skip and not _PERSON.search(str(key))
    }


def plain_value(value: object) -> MetadataValue:
    """Return ``value`` as bool, int, finite float, text or None."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    text = str(value).strip()
    if text.lower() in _EMPTY:
        return None
    if re.fullmatch(r"-?(?:0|[1-9]\d{0,14})", text):
        return int(text)
    if re.fullmatch(r"-?\d{1,15}\.\d+(?:[eE][+-]?\d{1,3})?", text):
        return float(text)
    return text


def age_in_years(text: str) -> float | None:
    """Return a DICOM age (``041Y``, ``18M``, ``3W``, ``5D``) in years, or None."""
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text.strip())
    return int(match[1]) / {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}[match[2]] if match else None
