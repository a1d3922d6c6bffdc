"""How far U and z move when only the surroundings or the storage of a scan change.

A network is trained on the scans of a folder; then each scan is measured as it is, with a margin of ten voxels of
zeros, with a margin of noisy air, and stored in other orientations (header consistent).
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

import firstscan as fs
from _measure import machine
from firstscan.domain.case import Case, Channel
from firstscan.imaging import read_volume, standardise
from firstscan.learning import Extractor, resolve_preset

DATA = Path(os.environ.get("FIRSTSCAN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def margin(image: sitk.Image, rng: np.random.Generator, noise: float) -> sitk.Image:
    """Return the image with ten voxels around it: zeros, or Rayleigh noise of that share of the median."""
    padded = sitk.ConstantPad(image, [10] * 3, [10] * 3, 0.0)
    if noise == 0:
        return padded
    values = sitk.GetArrayFromImage(sitk.Cast(padded, sitk.sitkFloat32))
    inside = np.zeros(values.shape, dtype=bool)
    inside[10:-10, 10:-10, 10:-10] = True
    level = float(np.median(values[inside]))
    values[~inside] = noise * level * rng.rayleigh(size=int((~inside).sum()))
    noisy = sitk.GetImageFromArray(values)
    noisy.CopyInformation(padded)
    return noisy


def main(scans: Path, count: int, steps: int | None) -> None:
    preset = resolve_preset("fast")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = fs.index(scans)
        fs.extract(pool, preset="fast", out=folder / "out", train_steps=steps)
        weights = next((folder / "out" / "work" / "weights").rglob("weights.pt"))
        extractor = Extractor(weights, preset, channels=1, seed=42)
        spacing_mm = 55 / preset.size

        def measure(image: sitk.Image) -> tuple[float, np.ndarray]:
            sitk.WriteImage(image, str(folder / "variant.nii.gz"))
            case = Case("variant", (Channel("0", str(folder / "variant.nii.gz")),))
            crop = standardise(read_volume(case), spacing_mm=spacing_mm, size=preset.size)
            (found,) = extractor([crop])
            return found.uncertainty, found.embedding

        codes = ["".join(c) for c in itertools.product("LR", "AP", "SI")] + ["PIR", "SRA", "ASL"]
        moved: dict[str, list[tuple[float, float]]] = {"zeros": [], "air": [], "orientation": []}
        for case in list(pool)[:: max(1, len(pool) // count)][:count]:
            image = sitk.ReadImage(case.path)
            u, z = measure(image)
            variants = [("zeros", margin(image, rng, 0.0)), ("air", margin(image, rng, 0.05))]
            variants += [("orientation", sitk.DICOMOrient(image, rng.choice(codes)))]
            for kind, variant in variants:
                other_u, other_z = measure(variant)
                moved[kind].append((abs(other_u - u) / u, float(np.linalg.norm(other_z - z) / np.linalg.norm(z))))
        for kind, changes in moved.items():
            worst_u, worst_z = np.max(changes, axis=0)
            print(f"{kind:12s} largest relative change over {len(changes)} scans: U {worst_u:.2e}, z {worst_z:.2e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=Path, default=DATA / "hippocampus" / "images")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--train-steps", type=int)
    given = parser.parse_args()
    print(machine())
    if given.scans.is_dir():
        main(given.scans, given.count, given.train_steps)
    else:
        print(f"no scans at {given.scans}: set FIRSTSCAN_TEST_DATA")
