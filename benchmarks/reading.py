"""What reading a scan costs, from its files to its crop, and how far that is from decoding the files alone.

python benchmarks/reading.py --slices 300

Scans are made here: a chest-like CT of 512 × 512, as NIfTI and as a DICOM series, and a head-like MR of
240 × 240 × 155, alone and as one of four channels. Each is read as the pipeline does: once to be checked, once to be
cut out, in a process that keeps freed memory as the pipeline's workers do. "decoded" is SimpleITK reading the same
files, which cannot be done without. All on one thread, warm; processor seconds.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from _measure import machine
from firstscan.domain.case import Case, Channel
from firstscan.execution.memory import GIB, keep_freed_memory
from firstscan.imaging import inspect, read_volume, standardise

SIZE = 48


def chest(slices: int) -> sitk.Image:
    """Return a body with two lungs on a couch, noise of 15 HU, and padding outside the field of view."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (slices, 512, 512)), indexing="ij", sparse=True)
    voxels = np.full((slices, 512, 512), -1000, np.float32)
    voxels[np.broadcast_to((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, voxels.shape)] = 40
    for side in (-1, 1):
        voxels[((x - side * 0.35) / 0.25) ** 2 + (y / 0.4) ** 2 + ((z - 0.3) / 0.8) ** 2 < 1] = -850
    voxels[np.broadcast_to((abs(y - 0.75) < 0.02) & (abs(x) < 0.7), voxels.shape)] = -200
    voxels += np.random.default_rng(0).normal(0, 15, voxels.shape).astype(np.float32)
    voxels[np.broadcast_to(x**2 + y**2 > 1, voxels.shape)] = -1024
    return _image(voxels, (0.75, 0.75, 1.25))


def head(seed: int) -> sitk.Image:
    """Return an ellipsoid with a pattern in noisy air."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (155, 240, 240)), indexing="ij", sparse=True)
    noise = np.random.default_rng(seed).normal(0, 10, (155, 240, 240, 2))
    inside = (x / 0.7) ** 2 + (y / 0.8) ** 2 + (z / 0.8) ** 2 < 1
    voxels = np.where(inside, 300 + 100 * np.sin(8 * x * y * z + seed), 0)
    return _image(np.hypot(voxels + noise[..., 0], noise[..., 1]), (1.0, 1.0, 1.0))


def _image(voxels: np.ndarray, spacing: tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels.round().astype(np.int16))
    image.SetSpacing(spacing)
    return image


def write_series(image: sitk.Image, folder: Path) -> tuple[str, ...]:
    """Write one DICOM file a slice and return their paths in order."""
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    spacing = image.GetSpacing()
    shared = {"0008|0060": "CT", "0020|000d": "1.2.3", "0020|000e": "1.2.3.4", "0020|0037": "1\\0\\0\\0\\1\\0"}
    files = []
    for k in range(image.GetDepth()):
        part = image[:, :, k]
        place = {"0020|0032": f"0\\0\\{k * spacing[2]:g}", "0020|0013": str(k), "0008|0018": f"1.2.3.4.{k + 1}"}
        for key, value in (shared | place).items():
            part.SetMetaData(key, value)
        files.append(str(folder / f"{k:04d}.dcm"))
        writer.SetFileName(files[-1])
        writer.Execute(part)
    return tuple(files)


def scans(folder: Path, slices: int) -> dict[str, tuple[Channel, ...]]:
    """Write all scans and return their channels by name."""
    ct = chest(slices)
    sitk.WriteImage(ct, str(folder / "ct.nii.gz"))
    files = write_series(ct, folder / "series")
    for i in range(4):
        sitk.WriteImage(head(i), str(folder / f"head_{i:04d}.nii.gz"))
    heads = [Channel(f"c{i}", str(folder / f"head_{i:04d}.nii.gz")) for i in range(4)]
    return {
        f"CT, {slices} slices, NIfTI": (Channel("ct", str(folder / "ct.nii.gz")),),
        f"CT, {slices} slices, DICOM": (Channel("ct", files[0], files),),
        "MR, NIfTI": tuple(heads[:1]),
        "MR, four channels": tuple(heads),
    }


def decode(case: Case) -> None:
    """Read the files of a case with SimpleITK and do nothing with them."""
    for channel in case.channels:
        sitk.ReadImage(list(channel.files) if channel.files else channel.path)


def seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of the second of two runs."""
    work()
    started = time.process_time()
    work()
    return time.process_time() - started


def measured(name: str, channels: tuple[Channel, ...]) -> None:
    """Print one row; in a process of its own, so that its peak of memory is its own."""
    keep_freed_memory(GIB)
    case = Case("scan", channels)
    summary, _ = inspect(case)
    if summary is None:
        raise SystemExit(f"{name}: the scan made here was dropped")
    checking = seconds(lambda: inspect(case))
    spacing_mm = max(summary.extent_mm) / SIZE
    resampling = []

    def cut() -> None:
        volume = read_volume(case, modality=summary.modality)
        started = time.process_time()
        standardise(volume, spacing_mm=spacing_mm, size=SIZE)
        resampling.append(time.process_time() - started)

    cutting = seconds(cut)
    peak = int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 2**20
    floor = seconds(lambda: decode(case))
    both = checking + cutting
    times = f"{checking:9.2f} {cutting:9.2f} {resampling[-1]:11.2f} {both:8.2f} {floor:8.2f}"
    print(f"{name:24} {times} {both / (2 * floor):7.1f} {peak:9.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300, help="of the CT")
    given = parser.parse_args()
    print(machine())
    print("processor s a case       to check    to cut   (resample)   both  decoded   × twice  peak GiB", flush=True)
    with tempfile.TemporaryDirectory() as place:
        for row in scans(Path(place), given.slices).items():
            process = multiprocessing.get_context("spawn").Process(target=measured, args=row)
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)
