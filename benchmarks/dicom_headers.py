"""Time to index an archive of DICOM series: with one process, with several, and again, when its headers are known.

The slices are small and invented, with as many tags as scanners write. They lie in the system's file cache, so this is
the time of processors, not of a disk or a network.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from _measure import Measured, firstscan, machine

A_SERIES = 100
ROOT = "1.2.826.0.1.3680043.8.498"
PRIVATE = 60
"""Private elements in a header: scanners write dozens, which a reader has to step over."""


def write_series(folder: Path, series: int, slices: int) -> None:
    """Write one axial MR series of 16 × 16 voxels."""
    folder.mkdir(parents=True)
    for number in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        meta.MediaStorageSOPInstanceUID = f"{ROOT}.3.{series}.{number}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"IM{number:04d}.dcm"
        tags = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        tags.SOPClassUID, tags.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        tags.StudyInstanceUID, tags.SeriesInstanceUID = f"{ROOT}.1.{series}", f"{ROOT}.2.{series}"
        tags.FrameOfReferenceUID, tags.SeriesNumber, tags.InstanceNumber = f"{ROOT}.4.{series}", 4, number + 1
        tags.Modality, tags.SeriesDescription, tags.ImageType = "MR", "t1_mprage_sag", ["ORIGINAL", "PRIMARY", "M"]
        tags.PatientID, tags.PatientSex, tags.PatientAge = f"P{series:05d}", "F", "041Y"
        tags.StudyDate, tags.InstitutionName, tags.MagneticFieldStrength = "20240131", f"Site {series % 5}", "3"
        tags.Manufacturer, tags.ManufacturerModelName, tags.BodyPartExamined = "ACME", "Scanner 3000", "HEAD"
        tags.Rows = tags.Columns = 16
        tags.SamplesPerPixel, tags.PhotometricInterpretation, tags.PixelRepresentation = 1, "MONOCHROME2", 0
        tags.BitsAllocated, tags.BitsStored, tags.HighBit = 16, 12, 11
        tags.PixelSpacing, tags.ImageOrientationPatient = [0.9375, 0.9375], [1, 0, 0, 0, 1, 0]
        tags.ImagePositionPatient = [-120.0, -110.5, 1.2 * number]
        block = tags.private_block(0x0029, "ACME HEADER", create=True)
        for element in range(PRIVATE):
            block.add_new(element, "LO", f"protocol value {element}")
        tags.PixelData = np.zeros((16, 16), np.uint16).tobytes()
        tags.save_as(path, enforce_file_format=True)


def indexed(what: str, source: Path, out: Path, workers: int) -> tuple[float, Measured]:
    """Index with the command line program; print what it took, and return that after the seconds spent on headers."""
    measured = firstscan("index", source, "--out", out, "--workers", workers, "--overwrite")
    stages = [json.loads(line) for line in (out / "work" / "log.jsonl").read_text().splitlines()]
    seconds = stages[-1]["seconds"]
    print(f"  {what:<22} headers {seconds:7.2f} s; the command {measured}", flush=True)
    return seconds, measured


def main(files: int, workers: int) -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "archive", Path(name) / "out"
        count = max(files // A_SERIES, 1)
        for series in range(count):
            write_series(source / f"{series // 100:03d}" / f"series{series:05d}", series, min(A_SERIES, files))
        print(f"{count} series, {sum(1 for _ in source.rglob('*.dcm')):,} files")
        one, command = indexed("1 worker", source, out / "one", 1)
        several, command_several = indexed(f"{workers} workers", source, out / "several", workers)
        again, command_again = indexed("again", source, out / "one", workers)
        tables = [(out / folder / "cases.csv").read_bytes() for folder in ("one", "several")]
        write_series(source / "new", count, A_SERIES)
        new, _ = indexed(f"with {A_SERIES} new slices", source, out / "one", workers)
        kept = sum(path.stat().st_size for path in (out / "one" / "work" / "headers").iterdir()) / 2**20
    more = command_several.cpu_s / command.cpu_s - 1
    print(f"  {workers} workers are {one / several:.1f} times as fast as one, and take {more:.0%} more of processors")
    print(f"  again, {one / again:.0f} times as fast, with new slices {one / new:.0f} times; kept are {kept:.1f} MiB")
    print(f"  again, the whole command takes {command.cpu_s / command_again.cpu_s:.0f} times less of processors")
    print(f"  the same cases.csv every time: {tables[0] == tables[1]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    main(given.files, given.workers)
