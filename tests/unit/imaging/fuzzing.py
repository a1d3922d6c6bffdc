"""Mutate scans, inspect them, and print as JSON what became of each. Run as ``python fuzzing.py SEED FOLDER [DICOM]``.

A process of its own: a crash of a library, its memory and its time can then be measured from outside.
"""

from __future__ import annotations

import gzip
import json
import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from phantoms import head, save

from firstscan.domain.errors import FirstscanError
from firstscan.imaging import index, inspect, read_volume

SHAPE = (20, 22, 18)
PLAIN = ("scan.nii", "scan.nii.gz", "scan.nrrd", "raw.nrrd", "scan.mha")


def peak_gib() -> float:
    """Return this program's largest resident memory (getrusage would also count what forked it)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) / 2**20


def originals(folder: Path) -> dict[str, bytes]:
    for name in PLAIN:
        save(folder / name, head(SHAPE))
    packed = (folder / "scan.nrrd").read_bytes()
    header, data = packed.split(b"\n\n", 1)
    (folder / "raw.nrrd").write_bytes(header.replace(b"gzip", b"raw") + b"\n\n" + gzip.decompress(data))
    return {name: (folder / name).read_bytes() for name in PLAIN}


def mutate(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    reach = min(len(data), 400) if rng.random() < 0.6 else len(data)
    if kind == "truncate":
        return bytes(data[: int(rng.integers(0, len(data)))])
    if kind == "flip":
        for at in rng.integers(0, reach, int(rng.integers(1, 9))):
            data[at] ^= int(rng.integers(1, 256))
    if kind == "swap":
        width = int(rng.choice([2, 4, 8]))
        a, b = (int(v) for v in rng.integers(0, max(reach - width, 1), 2))
        data[a : a + width], data[b : b + width] = data[b : b + width], data[a : a + width]
    if kind == "extreme":
        at = int(rng.integers(0, max(reach - 8, 1)))
        data[at : at + 4] = rng.choice(
            [b"\xff\xff\xff\x7f", b"\x00\x00\xc0\x7f", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff"]
        )
    if kind == "wrong-gzip":
        return gzip.compress(bytes(data)) if rng.random() < 0.5 else b"\x1f\x8b" + bytes(data[2:])
    return bytes(data)


KINDS = ("truncate", "flip", "swap", "extreme", "wrong-gzip")


def outcome(folder: Path) -> dict[str, object]:
    """Index and inspect a folder as a user's command does."""
    try:
        pool = index(folder)
    except FirstscanError as error:
        return {"codes": [type(error).__name__], "read": False}
    codes = [f.code for f in pool.findings]
    for case in pool:
        summary, findings = inspect(case)
        codes += [f.code for f in findings]
        if summary is not None:
            volume = read_volume(case)
            same = volume.voxels.shape == (1, *SHAPE) and bool(
                np.array_equal(volume.voxels[0], head(SHAPE)[::-1, ::-1])
            )
            return {"codes": codes, "read": True, "same": same, "finite": bool(np.isfinite(volume.voxels).all())}
    return {"codes": codes, "read": False}


def main(seed: int, folder: Path, dicom: Path | None) -> None:
    contents = originals(folder / "originals")
    series = sorted(dicom.glob("*.dcm"), key=lambda p: int(p.stem))[:12] if dicom else []
    for number in range(500):
        rng = np.random.default_rng([seed, number])
        kind = KINDS[number % len(KINDS)]
        place = folder / "work"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if series and number % 6 == 5:
            name = "series"
            for path in series:
                shutil.copy(path, place / path.name)
            victim = place / series[int(rng.integers(len(series)))].name
            victim.write_bytes(mutate(victim.read_bytes(), kind, rng))
        else:
            name = PLAIN[int(rng.integers(len(PLAIN)))]
            (place / name).write_bytes(mutate(contents[name], kind, rng))
        start = time.perf_counter()
        result = outcome(place)
        seconds = time.perf_counter() - start
        peak = peak_gib()
        print(
            json.dumps({"number": number, "kind": kind, "name": name, "seconds": seconds, "peak_gib": peak, **result})
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
