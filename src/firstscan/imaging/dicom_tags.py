"""The few DICOM tags that place a slice in space and in a series."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from firstscan.domain.case import MetadataValue

from .metadata import age_in_years, plain_value

_TAGS = (
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SeriesNumber",
    "InstanceNumber",
    "SeriesDescription",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "SamplesPerPixel",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "StudyDate",
    "InstitutionName",
    "Manufacturer",
    "ManufacturerModelName",
    "MagneticFieldStrength",
    "BodyPartExamined",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Slice:
    """One DICOM image: where it lies (mm, LPS), which series it belongs to, and what may be kept about it.

    ``along_normal``: its position along the slice normal; ``frames`` > 1 for multi-frame files; ``missing_bytes``: how
    many bytes of uncompressed voxels the file lacks.
    """

    path: str
    study: str
    series: str
    frame_of_reference: str
    number: int
    instance: int
    description: str
    modality: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    frames: int
    spacing_mm: tuple[float, float]
    orientation: tuple[float, ...]
    position_mm: tuple[float, float, float]
    along_normal: float
    missing_bytes: int
    metadata: Mapping[str, MetadataValue]


@cache
def pydicom() -> Any:
    """Return the pydicom module, imported on first use."""
    return importlib.import_module("pydicom")


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its ending or by the mark at byte 128.  Raises OSError where it cannot be opened."""
    if path.suffix.lower() in {".dcm", ".dicom", ".ima"}:
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_tags(path: Path) -> Slice | str | None:
    """Return the tags of one file, None where it is no DICOM file, or in words why it cannot be read."""
    try:
        if not is_dicom(path):
            return None
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            tags = pydicom().dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
            return _slice(path, tags, file.tell())
    except Exception as error:  # a damaged file can fail anywhere in the parser; the reason goes into the finding
        return f"{type(error).__name__}: {error}"[:200]


def _slice(path: Path, tags: Any, voxels_from: int) -> Slice:
    orientation, position, spacing = _placed(tags)
    normal = np.cross(orientation[:3], orientation[3:])
    rows, columns = int(tags.get("Rows") or 0), int(tags.get("Columns") or 0)
    frames = int(tags.get("NumberOfFrames") or 1)
    syntax = str(getattr(tags.file_meta, "TransferSyntaxUID", ""))
    samples, bits = int(tags.get("SamplesPerPixel") or 1), int(tags.get("BitsAllocated") or 16)
    promised = rows * columns * frames * samples * (bits // 8) if syntax in _UNCOMPRESSED else 0
    return Slice(
        path=str(path),
        study=str(tags.get("StudyInstanceUID") or ""),
        series=str(tags.get("SeriesInstanceUID") or path.parent),
        frame_of_reference=str(tags.get("FrameOfReferenceUID") or ""),
        number=int(tags.get("SeriesNumber") or 0),
        instance=int(tags.get("InstanceNumber") or 0),
        description=str(tags.get("SeriesDescription") or "").strip(),
        modality=str(tags.get("Modality") or ""),
        image_type=tuple(str(t) for t in (tags.get("ImageType") or ())),
        rows=rows,
        columns=columns,
        frames=frames,
        spacing_mm=spacing,
        orientation=orientation,
        position_mm=position,
        along_normal=round(float(np.dot(normal, position)), 3),
        missing_bytes=max(voxels_from + 8 + promised - path.stat().st_size, 0) if promised else 0,
        metadata=_metadata(tags),
    )


def _placed(tags: Any) -> tuple[tuple[float, ...], tuple[float, float, float], tuple[float, float]]:
    """Return orientation, position and in-plane spacing, from the first frame where the file has several."""
    source = tags
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = tags.get(name)
        if groups:
            first = groups[0]
            for part in ("PlaneOrientationSequence", "PlanePositionSequence", "PixelMeasuresSequence"):
                if first.get(part):
                    source = _Joined(source, first[part].value[0])
    orientation = tuple(float(v) for v in (source.get("ImageOrientationPatient") or _UPRIGHT))
    position = [
        float(v) for v in (source.get("ImagePositionPatient") or (0.0, 0.0, float(tags.get("InstanceNumber") or 0)))
    ]
    spacing = [float(v) for v in (source.get("PixelSpacing") or (1.0, 1.0))]
    if not np.isfinite([*orientation, *position, *spacing]).all():
        raise ValueError("its position or spacing is not a number")
    return orientation, (position[0], position[1], position[2]), (spacing[0], spacing[1])


class _Joined:
    """Two sets of tags, the second asked first."""

    def __init__(self, below: Any, above: Any) -> None:
        self._below, self._above = below, above

    def get(self, name: str) -> Any:
        """Return the value of a tag, or None."""
        value = self._above.get(name)
        return value if value else self._below.get(name)


def _metadata(tags: Any) -> Mapping[str, MetadataValue]:
    """Return what helps to group a pool; never a name, a birth date or an address."""
    date = str(tags.get("StudyDate") or "")
    known: dict[str, MetadataValue] = {
        "patient": _text(tags.get("PatientID")),
        "site": _text(tags.get("InstitutionName")),
        "scanner": _text(" ".join(str(tags.get(k) or "") for k in ("Manufacturer", "ManufacturerModelName"))),
        "field_strength": plain_value(str(tags.get("MagneticFieldStrength") or "")),
        "sex": _text(tags.get("PatientSex")),
        "age": age_in_years(str(tags.get("PatientAge") or "")),
        "date": f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else None,
        "body_part": _text(tags.get("BodyPartExamined")),
    }
    return MappingProxyType({k: v for k, v in known.items() if v is not None})


def _text(value: object) -> str | None:
    text = str(value or "").strip()
    return text or None
