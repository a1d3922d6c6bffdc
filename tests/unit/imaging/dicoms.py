"""DICOM series of every kind that intake has to tell apart, written with pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def uid(*words: object) -> str:
    """An identifier that depends on nothing but ``words``."""
    return str(generate_uid(entropy_srcs=[str(w) for w in words]))


def slices(
    folder: Path,
    voxels: np.ndarray,
    positions: np.ndarray | None,
    *,
    slopes=None,
    modality="MR",
    series="1",
    study="1",
    patient="P1",
    orientation=UPRIGHT,
    pixel=(1.0, 1.0),
    bare=None,
    name="{:03d}.dcm",
    **tags,
) -> list[Path]:
    """Write one file a slice: ``voxels`` (slice, row, column) at ``positions`` (slice, 3), None for no position.

    ``slopes`` rescales each slice by its own; ``bare`` is "explicit" or "implicit" for files without preamble; what is
    None in ``tags`` is taken out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, plane in enumerate(voxels):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CLASSES[modality]
        meta.MediaStorageSOPInstanceUID = uid(patient, study, series, i)
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if bare == "implicit" else ExplicitVRLittleEndian
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = uid("study", study), uid("series", series)
        data.FrameOfReferenceUID = uid("frame", study)
        data.Modality, data.PatientID, data.SeriesDescription = modality, patient, f"series {series}"
        data.InstanceNumber, data.SeriesNumber = i + 1, 1
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.PixelSpacing = list(pixel)
        if positions is not None:
            data.ImagePositionPatient = [round(float(v), 6) for v in positions[i]]
            data.ImageOrientationPatient = [round(float(v), 8) for v in orientation]
        if slopes is not None:
            data.RescaleSlope, data.RescaleIntercept = slopes[i], -3
        data.PixelData = plane.astype("<u2").tobytes()
        for tag, value in tags.items():
            if value is not None:
                setattr(data, tag, value)
            elif tag in data:
                delattr(data, tag)
        path = folder / name.format(i)
        if bare:
            del data.file_meta, data.preamble
            data.save_as(path, implicit_vr=bare == "implicit", little_endian=True)
        else:
            data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def straight(count: int, step: float = 2.0) -> np.ndarray:
    """Positions of slices one above the other."""
    return np.array([[0.0, 0.0, step * i] for i in range(count)])


def enhanced(path, voxels, positions, *, spacing=(0.8, 1.2)):
    """Write an enhanced multi-frame MR file: ``voxels`` (frame, row, column) uint16 at the given positions (mm)."""

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["instance"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    tags = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    tags.SOPClassUID, tags.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    tags.StudyInstanceUID, tags.SeriesInstanceUID = (generate_uid(entropy_srcs=[s]) for s in ("study", "series"))
    tags.Modality, tags.SeriesDescription, tags.PatientName = "MR", "T2 enhanced", "Nobody^Known"
    tags.NumberOfFrames, tags.Rows, tags.Columns = voxels.shape
    tags.SamplesPerPixel, tags.PhotometricInterpretation = 1, "MONOCHROME2"
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 16, 15, 0
    measures, plane, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(spacing), 2
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = pydicom.Sequence([measures])
    shared.PlaneOrientationSequence = pydicom.Sequence([plane])
    tags.SharedFunctionalGroupsSequence = pydicom.Sequence([shared])
    frames = []
    for z in positions:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [10.0, 20.0, float(z)]
        frame.PlanePositionSequence = pydicom.Sequence([place])
        frames.append(frame)
    tags.PerFrameFunctionalGroupsSequence = pydicom.Sequence(frames)
    tags.PixelData = voxels.astype("<u2").tobytes()
    tags.save_as(path, enforce_file_format=True)


def with_slopes(path: Path, slopes) -> None:
    """Give each frame of an enhanced file its own slope, and the intercept -3."""
    data = pydicom.dcmread(path)
    for frame, slope in zip(data.PerFrameFunctionalGroupsSequence, slopes, strict=True):
        values = Dataset()
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, -3, "US"
        frame.PixelValueTransformationSequence = pydicom.Sequence([values])
    data.save_as(path)
