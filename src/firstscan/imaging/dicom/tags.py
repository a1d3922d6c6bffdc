"""The few DICOM tags that place a slice in space and in a series."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from firstscan.domain.case import MetadataValue
from firstscan.imaging.metadata import age_in_years, plain_value

_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
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
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SpacingBetweenSlices",
    "SliceThickness",
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
    "SeriesDate",
    "SeriesTime",
    "ProtocolName",
    "SequenceName",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "FlipAngle",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "DirectoryRecordType",
    "DetectorInformationSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_PROTOCOL = (
    "ProtocolName",
    "SequenceName",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "FlipAngle",
    "ConvolutionKernel",
    "ContrastBolusAgent",
)
"""What two series of one protocol have in common."""
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Slice:
    """One DICOM image: where it lies (mm, LPS), which series it belongs to, and what may be kept about it.

    ``sop`` tells the image from every other one; ``along_normal``: its position along the slice normal, or its number
    where it tells no position (``placed`` is False); ``step_mm``: the distance between slices that the file states,
    0 where it states none, in the tag ``step_from``; ``spaced``: whether it states the size of its pixels;
    ``frames`` > 1 for multi-frame files, ``frame_positions`` where those lie; ``missing_bytes``: how many bytes of
    uncompressed voxels the file lacks; ``when`` the series was recorded, as sortable text; ``protocol``: settings that
    repeats of one protocol share.
    """

    path: str
    sop: str
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
    placed: bool
    spaced: bool
    step_mm: float
    step_from: str
    frame_positions: tuple[tuple[float, ...], ...]
    when: str
    protocol: tuple[str, ...]
    metadata: Mapping[str, MetadataValue]


@cache
def pydicom() -> Any:
    """Return the pydicom module, imported on first use; what it would log, findings tell."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    return importlib.import_module("pydicom")


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its ending, the mark at byte 128, or a first tag of one without preamble.

    Raises OSError where it cannot be opened.
    """
    if path.suffix.lower() in {".dcm", ".dicom", ".ima"}:
        return True
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or _is_bare(start)


def _is_bare(start: bytes) -> bool:
    """Tell whether a file begins with the tags of a DICOM image, without preamble (little endian, either kind).

    The first tag is one of group 0008 (or 0002), early in it, with a plausible length.
    """
    if len(start) < 132 or start[1:2] != b"\0" or start[0] not in {2, 8} or start[3] != 0 or start[2] > 0x18:
        return False
    if start[4:6] in {b"UL", b"CS", b"UI", b"DA", b"OB"}:
        return True
    return start[0] == 8 and int.from_bytes(start[4:8], "little") <= 64


def read_tags(path: Path) -> Slice | str | None:
    """Return the tags of one file, None where it is no DICOM file, or in words why it cannot be read."""
    try:
        if not is_dicom(path):
            return None
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            start = file.read(132)
            file.seek(0)
            bare = start[128:] != b"DICM" and _is_bare(start)
            tags = pydicom().dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS), force=bare)
            return _slice(path, tags, file.tell())
    except pydicom().errors.InvalidDicomError:
        return "it does not begin as a DICOM file does"
    except Exception as error:  # a damaged file can fail anywhere in the parser; the reason goes into the finding
        return f"{type(error).__name__}: {error}"[:200]


def _slice(path: Path, tags: Any, voxels_from: int) -> Slice:
    orientation, position, spacing = _placed(tags)
    normal = np.cross(orientation[:3], orientation[3:])
    instance = int(tags.get("InstanceNumber") or 0)
    step_from = next((name for name in ("SpacingBetweenSlices", "SliceThickness") if tags.get(name)), "")
    along = float(np.dot(normal, position)) if position else float(instance)
    rows, columns = int(tags.get("Rows") or 0), int(tags.get("Columns") or 0)
    frames = int(tags.get("NumberOfFrames") or 1)
    syntax = str(getattr(getattr(tags, "file_meta", None), "TransferSyntaxUID", ""))
    samples, bits = int(tags.get("SamplesPerPixel") or 1), int(tags.get("BitsAllocated") or 16)
    promised = rows * columns * frames * samples * (bits // 8) if syntax in _UNCOMPRESSED else 0
    return Slice(
        path=str(path),
        sop=str(tags.get("SOPInstanceUID") or ""),
        study=str(tags.get("StudyInstanceUID") or ""),
        series=str(tags.get("SeriesInstanceUID") or path.parent),
        frame_of_reference=str(tags.get("FrameOfReferenceUID") or ""),
        number=int(tags.get("SeriesNumber") or 0),
        instance=instance,
        description=str(tags.get("SeriesDescription") or "").strip(),
        modality=str(tags.get("Modality") or ""),
        image_type=tuple(str(t) for t in (tags.get("ImageType") or ())),
        rows=rows,
        columns=columns,
        frames=frames,
        spacing_mm=spacing or (1.0, 1.0),
        orientation=orientation,
        position_mm=position or (0.0, 0.0, 0.0),
        along_normal=round(along, 3),
        missing_bytes=max(voxels_from + 8 + promised - path.stat().st_size, 0) if promised else 0,
        placed=position is not None,
        spaced=spacing is not None,
        step_mm=abs(float(tags.get(step_from))) if step_from else 0.0,
        step_from=step_from,
        frame_positions=_frame_positions(tags) if frames > 1 else (),
        when=f"{tags.get('SeriesDate') or ''}{tags.get('SeriesTime') or ''}",
        protocol=tuple(str(tags.get(name) or "") for name in _PROTOCOL),
        metadata=_metadata(tags),
    )


def _placed(
    tags: Any,
) -> tuple[tuple[float, ...], tuple[float, float, float] | None, tuple[float, float] | None]:
    """Return orientation, position and in-plane spacing, from the first frame where the file has several.

    None for a position or a spacing that the file does not tell.
    """
    source = tags
    if detectors := tags.get("DetectorInformationSequence"):
        source = _Joined(detectors[0], tags)
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = tags.get(name)
        if groups:
            first = groups[0]
            for part in ("PlaneOrientationSequence", "PlanePositionSequence", "PixelMeasuresSequence"):
                if first.get(part):
                    source = _Joined(source, first[part].value[0])
    orientation = tuple(float(v) for v in (source.get("ImageOrientationPatient") or UPRIGHT))
    position = [float(v) for v in source.get("ImagePositionPatient") or ()]
    stated = (source.get(n) for n in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"))
    spacing = [float(v) for v in next(filter(None, stated), ())]
    if not np.isfinite([*orientation, *position, *spacing]).all():
        raise ValueError("its position or spacing is not a number")
    if len(orientation) != 6 or min(np.linalg.norm(np.reshape(orientation, (2, 3)), axis=1)) == 0:
        orientation, position = UPRIGHT, []
    placed = (position[0], position[1], position[2]) if len(position) == 3 else None
    return orientation, placed, (spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None


def _frame_positions(tags: Any) -> tuple[tuple[float, ...], ...]:
    """Return the position of each frame; empty where a frame does not tell its own."""
    found = []
    for frame in tags.get("PerFrameFunctionalGroupsSequence") or ():
        plane = frame.get("PlanePositionSequence")
        position = plane[0].get("ImagePositionPatient") if plane else None
        if not position or len(position) != 3:
            return ()
        found.append(tuple(float(v) for v in position))
    return tuple(found)


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
