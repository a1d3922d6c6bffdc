"""What one GPU does, most valuable first, in at most twelve minutes: correctness, speed, agreement, studies, nnU-Net.

python benchmarks/gpu.py --out FOLDER [--parts a,b] [--data FOLDER] [--seconds 700]
python benchmarks/gpu.py --pack FOLDER [--lacking NAME==VERSION …]    what a machine without a network has to be given
python benchmarks/gpu.py --toy --out FOLDER                           every part in small, on the processor

a  correctness: presets fast and paper on the GPU against the CPU, and twice on the GPU
b  speed: cases and training steps a second against the published formulation, with and without compiling, from crops
   on disk to features, peak memory; pretrained encoders
c  paper trained 3,000 steps on hippocampus: agreement with fast, and what of both goes with Dice of random batches
d  unet cells of the evidence study: one training at a time, several side by side
e  nnU-Net cells with a short schedule: random, default, cscs, and every 4th slice against whole scans

Every part has a limit and begins only where enough of ``--seconds`` is left; what is left out is said. What is
measured goes to gpu.txt and, a JSON line each, gpu.jsonl in FOLDER at once. A part that is done is not done again
unless ``--parts`` names it. Parts a and b need torch, MONAI, Lightning Fabric and jaxtyping; the others all of
firstscan's packages, and the hippocampus scans (``--data``, else FIRSTSCAN_TEST_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import _gpu_network
import _gpu_studies
from _measure import machine

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FIRSTSCAN_TEST_DATA", HERE.parents[1] / "shared" / "data"))
LARGEST_PACK = 64 * 2**20


@dataclass(frozen=True)
class Part:
    """A part: what it is, the module that holds it, the seconds that it may take, and those that it needs."""

    words: str
    home: Any
    limit_s: float
    least_s: float


PARTS = {
    "a": Part("correctness", _gpu_network, 60, 15),
    "b": Part("speed", _gpu_network, 130, 40),
    "c": Part("paper against fast, and Dice", _gpu_studies, 320, 60),
    "d": Part("unet cells", _gpu_studies, 110, 45),
    "e": Part("nnU-Net cells", _gpu_studies, 180, 60),
}


class OverError(BaseException):
    """The time of a part is over; no error, so that nothing on the way takes it for one."""


class LeftOutError(Exception):
    """A part cannot be done here; the message says why."""


@dataclass
class Bench:
    """What a part is given: where it runs, how large, its data, a folder for its work, and its time."""

    device: str
    toy: bool
    data: Path
    work: Path
    out: Path
    part: str = ""
    until: float = 0.0

    @property
    def left_s(self) -> float:
        """Seconds left to the part."""
        return self.until - time.monotonic()

    def say(self, text: str) -> None:
        """Print a line and append it to gpu.txt."""
        print(text, flush=True)
        with (self.out / "gpu.txt").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def keep(self, what: str, **values: Any) -> None:
        """Append what was measured to gpu.jsonl and print it in words."""
        with (self.out / "gpu.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": self.part, "what": what, **values}) + "\n")
        told = ", ".join(f"{k.replace('_', ' ')} {_number(v)}" for k, v in values.items())
        self.say(f"  {what}: {told}" if told else f"  {what}")

    def leave_out(self, why: str) -> None:
        """End the part, saying why it cannot be done.  Raises LeftOutError."""
        raise LeftOutError(why)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise OverError in the block once it has taken so long."""

    def over(*_: object) -> None:
        raise OverError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def done_before(out: Path) -> set[str]:
    """Return the parts that an earlier run into ``out`` finished."""
    file = out / "gpu.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {row["part"] for row in rows if row["what"] == "done"}


def run(bench: Bench, parts: list[str], seconds: float) -> int:
    """Do ``parts`` within ``seconds``; return how many of them failed, those left out not counted."""
    end, failed = time.monotonic() + seconds, 0
    for bench.part in parts:
        part = PARTS[bench.part]
        left = end - time.monotonic()
        bench.say(f"\n{bench.part}  {part.words}")
        if left < part.least_s:
            bench.keep("left out", because=f"{left:.0f} s are left, and it needs {part.least_s:.0f}")
            continue
        began, limit = time.monotonic(), left if bench.toy else min(part.limit_s, left)
        bench.until = began + limit
        try:
            with at_most(limit):
                getattr(part.home, f"part_{bench.part}")(bench)
        except OverError:
            bench.keep("cut short", because=f"its {limit:.0f} s are over")
        except LeftOutError as reason:
            bench.keep("left out", because=str(reason))
        except ModuleNotFoundError as error:
            bench.keep("left out", because=f"the package {error.name} is not installed")
        except Exception as error:  # whatever breaks one part, the others are worth having
            failed += 1
            bench.keep("failed", because=f"{type(error).__name__}: {str(error)[:500]}")
        else:
            bench.keep("done", seconds=round(time.monotonic() - began, 1))
        if bench.device == "cuda":
            torch.cuda.empty_cache()
    return failed


def pack(folder: Path, data: Path, lacking: list[str], python: str) -> int:
    """Put scans, and wheels of packages that the other machine lacks, into ``folder``; at most 64 MiB.

    Raises SystemExit where that is too much.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(data / "hippocampus", folder / "hippocampus", dirs_exist_ok=True)
    if lacking:
        command = ["-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", python]
        tags = [f"--platform=manylinux{t}_x86_64" for t in ("_2_28", "_2_27", "_2_17", "2014", "1")]
        subprocess.run([sys.executable, *command, *tags, "-d", folder / "wheels", *lacking], check=True)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    if size > LARGEST_PACK:
        raise SystemExit(f"{folder} holds {size / 2**20:.0f} MiB, more than 64: name fewer packages with --lacking")
    print(f"{folder}: {size / 2**20:.1f} MiB. There: pip install --no-index --no-deps {folder}/wheels/*")
    print(f"python benchmarks/gpu.py --data {folder} --out …")
    return 0


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("out/gpu"), help="folder of the results")
    options.add_argument("--parts", help="do these, for example a,b, whether or not they were done before")
    options.add_argument("--seconds", type=float, default=700, help="seconds for all parts together")
    options.add_argument("--data", type=Path, default=DATA, help="folder that holds hippocampus/images and labels")
    options.add_argument("--toy", action="store_true", help="every part in small, on the processor")
    options.add_argument("--pack", type=Path, metavar="FOLDER", help="only collect what another machine needs")
    options.add_argument("--lacking", nargs="*", default=[], metavar="NAME==VERSION", help="wheels to pack")
    options.add_argument("--python", default="3.12", help="Python of the machine to pack for")
    given = options.parse_args(arguments)
    if given.pack:
        return pack(given.pack, given.data, given.lacking, given.python)
    if not (given.toy or torch.cuda.is_available()):
        print(
            "gpu.py measures an NVIDIA GPU, and torch sees none here: nothing to do (--toy tries every part in small)"
        )
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    parts = given.parts.split(",") if given.parts else sorted(set(PARTS) - done_before(given.out))
    if unknown := set(parts) - set(PARTS):
        options.error(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="firstscan-gpu-") as work:
        device = "cpu" if given.toy else "cuda"
        bench = Bench(device, given.toy, given.data.resolve(), Path(work), given.out)
        name = "toy size on the processor" if given.toy else torch.cuda.get_device_name()
        bench.say(f"{machine()}, torch {torch.__version__} · {name}")
        return 1 if run(bench, parts, given.seconds) else 0


if __name__ == "__main__":
    raise SystemExit(main())
