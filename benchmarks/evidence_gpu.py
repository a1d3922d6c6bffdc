"""Trainings of an evidence study on one GPU, many side by side; needs torch, MONAI and nothing else of firstscan's.

python benchmarks/evidence_gpu.py FOLDER --out FILE [--lanes 12] [--seconds 480] [--only PLAN…]

FOLDER holds what ``evidence.py export`` wrote. Every training is the product's own: spacing, patch, draws,
augmentation, loss, network and sliding windows are those of the segmenter unet; only Dice is scored. Each finished one
is a line of FILE at once, so that what was done is kept whatever stops the machine; ``evidence.py bring`` puts them
into the studies.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from firstscan.domain.slices import outside_ignored
from firstscan.segmentation.grids import Grid
from firstscan.segmentation.standardise import Scale, _coarser, resampled_shape, working_spacing
from firstscan.segmentation.unet.draws import IGNORED, draw, patch_of, spots_of
from firstscan.segmentation.unet.graph import Lane
from firstscan.segmentation.unet.training import _padded, build, pinned

CHUNK, WINDOWS = 50, 16
MODES = {
    "channels last, tf32": (torch.channels_last_3d, True),
    "channels last, float32": (torch.channels_last_3d, False),
    "contiguous, tf32": (torch.contiguous_format, True),
    "contiguous, float32": (torch.contiguous_format, False),
}
"""Memory layouts and precisions to choose from by measuring."""
TRIED, TRIED_STEPS = 6, 60


@dataclass(frozen=True)
class Settings:
    """The options of the segmenter that matter here; values as in its own defaults."""

    iterations: int
    batch_size: int = 2
    patch: int = 64
    largest_voxels: int = 600_000
    features: int = 16
    learning_rate: float = 3e-3
    foreground_share: float = 0.67
    sparse_factor: float = 2.0


@dataclass(frozen=True)
class Ready:
    """A training with its arrays: padded scans, draws, first weights, patch and spacing."""

    plan: str
    job: dict[str, Any]
    padded: list[tuple[np.ndarray, np.ndarray]]
    draws: Any
    weights: dict[str, np.ndarray]
    patch: tuple[int, ...]
    spacing: tuple[float, ...]
    outputs: int
    told: dict[str, Any]


@cache
def opened(folder: str, plan: str) -> tuple[dict[str, Any], Any]:
    about = json.loads((Path(folder) / f"{plan}.json").read_text(encoding="utf-8"))
    return about, np.load(Path(folder) / f"{plan}.npz")


@cache
def scan(folder: str, plan: str, name: str) -> tuple[np.ndarray, np.ndarray, Grid]:
    arrays = opened(folder, plan)[1]
    label = arrays[f"{name}|label"]
    spacing = tuple(float(s) for s in arrays[f"{name}|spacing"])
    grid = Grid(label.shape, spacing, (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    return arrays[f"{name}|image"], label, grid


def resampled(image: torch.Tensor, spacing: Sequence[float], target: Sequence[float]) -> torch.Tensor:
    """Return one channel (x, y, z) at another spacing, from corner to corner, linearly."""
    shape = tuple(image.shape)
    if np.allclose(spacing, target, rtol=1e-3):
        return image.float()
    wanted = resampled_shape(shape, spacing, target)
    return functional.interpolate(image.float()[None, None], size=wanted, mode="trilinear", align_corners=False)[0, 0]


def prepared(folder: str, plan: str, job: dict[str, Any]) -> Ready:
    torch.set_num_threads(1)
    about = opened(folder, plan)[0]
    settings = Settings(**{k: v for k, v in about["segmenter"].items() if k in Settings.__dataclass_fields__})
    values = list(about["classes"].values())
    scans = [scan(folder, plan, name) for name in sorted(job["picks"])]
    spacing = working_spacing([grid for _, _, grid in scans], settings.largest_voxels)
    lookup = np.zeros(256, dtype=np.int64)
    for index, value in enumerate(values, start=1):
        lookup[value] = index
    lookup[255] = IGNORED
    cases, foreground, held = [], 0, 0
    for name, (image, label, grid) in zip(sorted(job["picks"]), scans, strict=True):
        if job["work"]:
            axis, indices = job["work"][name]
            others = tuple(a for a in range(3) if a != axis)
            held += int((np.take(label, indices, axis) > 0).any(axis=others).sum())
        if job["slices"]:
            axis, indices = job["slices"][name]
            seen = outside_ignored(label.astype(np.int32), axis, tuple(indices), 255)
        else:
            seen = label
        foreground += int(np.isin(seen, values).sum())
        classes = labels_of(lookup[seen], grid.spacing_mm, spacing)
        voxels = resampled(torch.from_numpy(image), grid.spacing_mm, spacing).numpy()
        cases.append((Scale()(voxels)[None], classes))
    patch = patch_of([labels.shape for _, labels in cases], settings.patch)
    steps = round(settings.iterations * (settings.sparse_factor if job["slices"] else 1.0))
    draws = draw(
        [spots_of(labels) for _, labels in cases],
        patch,
        spacing,
        steps=steps,
        batch=settings.batch_size,
        foreground_share=settings.foreground_share,
        seed=job["seed"],
    )
    with pinned(1, job["seed"]):
        weights = {k: v.numpy() for k, v in build(settings, 1, len(values) + 1).state_dict().items()}
    padded = [_padded(image, labels, patch) for image, labels in cases]
    told = {
        "foreground_voxels": foreground,
        "slices": sum(len(i) for _, i in job["work"].values()) if job["work"] else None,
        "foreground_slices": held if job["work"] else None,
        "absent_classes": [
            name
            for i, name in enumerate(about["classes"], start=1)
            if not any((labels == i).any() for _, labels in cases)
        ],
    }
    return Ready(plan, job, padded, draws, weights, patch, spacing, len(values) + 1, told)


def labels_of(labels: np.ndarray, spacing: Sequence[float], target: Sequence[float]) -> np.ndarray:
    """Resample class indices by nearest neighbour; ignored voxels give way to annotated ones."""
    if np.allclose(spacing, target, rtol=1e-3):
        return labels
    for axis, n in enumerate(resampled_shape(labels.shape, spacing, target)):
        labels = _coarser(labels, axis, n, IGNORED)
    return labels


class Tests:
    """The test scans of a plan on the GPU."""

    def __init__(self, folder: str, plan: str, device: str) -> None:
        about, _ = opened(folder, plan)
        self.classes = dict(about["classes"])
        self.names = about["tests"]
        self.device = device
        found = [scan(folder, plan, f"test {name}") for name in self.names]
        self.images = [torch.from_numpy(image).to(device) for image, _, _ in found]
        self.labels = [torch.from_numpy(label).to(device) for _, label, _ in found]
        self.spacings = [grid.spacing_mm for _, _, grid in found]

    def scores(self, network: torch.nn.Module, patch: tuple[int, ...], spacing: tuple[float, ...]) -> torch.Tensor:
        """Return (test, class, 3): voxels in common, predicted, true."""
        network.eval()
        with torch.inference_mode():
            scans, windows = [], []
            for i, image in enumerate(self.images):
                small = resampled(image, self.spacings[i], spacing)
                small = (small - small.mean()) / small.std(correction=0).clamp_min(1e-8)
                missing = [max(p - n, 0) for p, n in zip(patch, small.shape, strict=True)]
                sides = [(m // 2, m - m // 2) for m in missing]
                wide = functional.pad(small[None, None], [s for pair in sides[::-1] for s in pair], mode="replicate")[0]
                steps = tuple(p if p == n else int(p * 0.5) for p, n in zip(patch, wide.shape[1:], strict=True))
                windows += [(i, box) for box in dense_patch_slices(wide.shape[1:], patch, steps)]
                scans.append((wide, sides, small.shape))
            weight = importance(patch, self.device)
            classes = len(self.classes) + 1
            sums = [torch.zeros((classes, *wide.shape[1:]), device=self.device) for wide, _, _ in scans]
            counts = [torch.zeros(wide.shape[1:], device=self.device) for wide, _, _ in scans]
            for at in range(0, len(windows), WINDOWS):
                part = windows[at : at + WINDOWS]
                batch = torch.stack([scans[i][0][(slice(None), *box)] for i, box in part])
                logits = network(batch) * weight
                for (i, box), found in zip(part, logits, strict=True):
                    sums[i][(slice(None), *box)] += found
                    counts[i][box] += weight
            told = []
            for (_, sides, shape), total, count, truth in zip(scans, sums, counts, self.labels, strict=True):
                own = tuple(slice(a, a + n) for (a, _), n in zip(sides, shape, strict=True))
                logits = (total / count)[(slice(None), *own)]
                if tuple(logits.shape[1:]) != tuple(truth.shape):
                    logits = functional.interpolate(
                        logits.softmax(0)[None], size=tuple(truth.shape), mode="trilinear", align_corners=False
                    )[0]
                winner = logits.argmax(0)
                row = []
                for index, value in enumerate(self.classes.values(), start=1):
                    ours, theirs = winner == index, truth == value
                    row.append(torch.stack([(ours & theirs).sum(), ours.sum(), theirs.sum()]))
                told.append(torch.stack(row))
        network.train()
        return torch.stack(told)


@cache
def importance(patch: tuple[int, ...], device: str) -> torch.Tensor:
    return compute_importance_map(patch, mode="gaussian", sigma_scale=0.125, device=torch.device(device))


def result_of(ready: Ready, counts: np.ndarray, names: Sequence[str], classes: dict[str, int], device: str) -> dict:
    scores = []
    for name, row in zip(names, counts.tolist(), strict=True):
        for (called, value), (both, ours, theirs) in zip(classes.items(), row, strict=True):
            status = "ok" if ours and theirs else "both_empty" if not (ours or theirs) else "one_empty"
            dice = 1.0 if status == "both_empty" else 2.0 * both / (ours + theirs)
            scores.append(
                {"case_id": name, "label": value, "name": called, "dice": dice, "hd95_mm": None, "nsd": None,
                 "status": status}
            )  # fmt: skip
    return {"plan": ready.plan, "key": ready.job["key"], "status": "ok", "reason": "", "scores": scores,
            "device": device, "seconds": {}, **ready.told}  # fmt: skip


class Slot:
    """A lane at work on one training."""

    def __init__(self, lane: Lane, tests: Tests) -> None:
        self.lane, self.tests = lane, tests
        self.ready: Ready | None = None
        self.left = 0
        self.events: list[torch.cuda.Event] = []
        self.began = 0.0

    def begin(self, ready: Ready) -> None:
        self.lane.begin({k: torch.from_numpy(v) for k, v in ready.weights.items()}, ready.padded, ready.draws)
        self.ready, self.left, self.events, self.began = ready, len(ready.draws.case), [], time.perf_counter()

    def advance(self) -> bool:
        """Queue more steps where few are queued; True when all are done."""
        self.events = [e for e in self.events if not e.query()]
        if self.left and len(self.events) < 2:
            for _ in range(min(CHUNK, self.left)):
                self.lane.step()
            self.left -= min(CHUNK, self.left)
            if self.lane.stream is None:
                return not self.left
            event = torch.cuda.Event()
            event.record(self.lane.stream)
            self.events.append(event)
        return not self.left and not self.events


def run(given: argparse.Namespace, until: float) -> None:
    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else "cpu"
    torch.backends.cudnn.deterministic = True
    todo: list[tuple[str, dict[str, Any]]] = []
    plans = given.only or sorted(p.stem for p in Path(given.folder).glob("*.json"))
    jobs = {plan: opened(given.folder, plan)[0]["jobs"][: given.limit] for plan in plans}
    for part in range(given.rounds):  # so that what is cut short is cut short evenly
        for plan, mine in jobs.items():
            share = -(-len(mine) // given.rounds)
            todo += [(plan, job) for job in mine[part * share : (part + 1) * share]]
    tests = {plan: Tests(given.folder, plan, "cuda" if gpu else "cpu") for plan in plans}
    print(f"{len(todo)} trainings on {device}", flush=True)
    given.mode = "channels last, tf32"
    done, began = 0, time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with given.out.open("a", encoding="utf-8") as file, ProcessPoolExecutor(given.workers, context) as pool:
        waiting: list[Future[Ready]] = []
        queue = iter(todo)
        ready: list[Ready] = []
        slots: dict[Any, list[Slot]] = {}
        while time.monotonic() < until:
            while len(waiting) + len(ready) < 3 * given.lanes + given.workers and (item := next(queue, None)):
                waiting.append(pool.submit(prepared, given.folder, *item))
            for future in [f for f in waiting if f.done()]:
                waiting.remove(future)
                ready.append(future.result())
            if gpu and ready and not slots:
                given.mode = fastest(ready[0], given)
            busy = [s for group in slots.values() for s in group if s.ready]
            free = {k: [s for s in group if not s.ready] for k, group in slots.items()}
            for one in list(ready):
                if len(busy) >= given.lanes:
                    break
                key = (one.plan, one.patch)
                slot = next((s for s in free.get(key, []) if s.lane.fits(one.padded, one.draws)), None)
                if slot is None:
                    slot = Slot(lane_for(one, given), tests[one.plan])
                    slots.setdefault(key, []).append(slot)
                else:
                    free[key].remove(slot)
                slot.begin(one)
                ready.remove(one)
                busy.append(slot)
            for slot in busy:
                if slot.ready and slot.advance():
                    if slot.lane.stream is not None:
                        torch.cuda.current_stream().wait_stream(slot.lane.stream)
                    counts = slot.tests.scores(slot.lane.network, slot.ready.patch, slot.ready.spacing).cpu().numpy()
                    told = result_of(slot.ready, counts, slot.tests.names, slot.tests.classes, device)
                    file.write(json.dumps(told) + "\n")
                    file.flush()
                    done += 1
                    if done % 25 == 0 or done <= 4:
                        mean = np.mean([s["dice"] for s in told["scores"]])
                        passed = time.perf_counter() - began
                        print(f"{done}/{len(todo)} {passed:.0f} s, {slot.ready.plan}: Dice {mean:.3f}", flush=True)
                    slot.ready = None
            if not (busy or waiting or ready):
                break
        for future in waiting:
            future.cancel()
    print(f"{done} trainings in {time.perf_counter() - began:.1f} s with {given.lanes} lanes", flush=True)


def lane_for(ready: Ready, given: argparse.Namespace) -> Lane:
    """Return a lane with room for every training of the plan at this patch."""
    about = opened(given.folder, ready.plan)[0]
    settings = Settings(**{k: v for k, v in about["segmenter"].items() if k in Settings.__dataclass_fields__})
    scans = max(len(job["picks"]) for job in about["jobs"])
    largest = np.max([labels.shape for _, labels in ready.padded], axis=0)
    shape = tuple(int(n) + 24 for n in largest)
    steps = round(settings.iterations * settings.sparse_factor)
    network = build(settings, 1, ready.outputs)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout, torch.backends.cudnn.allow_tf32 = MODES[given.mode]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    return Lane(
        network,
        ready.patch,
        settings.learning_rate,
        room=(scans, shape, steps),
        batch=settings.batch_size,
        device=device,
        layout=layout,
    )


def fastest(ready: Ready, given: argparse.Namespace) -> str:
    """Return the mode in which a few lanes take steps fastest, and print what was measured."""
    speeds = {}
    for given.mode in MODES:
        slots = [Slot(lane_for(ready, given), None) for _ in range(TRIED)]
        for slot in slots:
            slot.begin(ready)
        for measured in (False, True):
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(TRIED_STEPS):
                for slot in slots[: TRIED if measured else 1]:
                    slot.lane.step()
            torch.cuda.synchronize()
            speed = TRIED_STEPS * (TRIED if measured else 1) / (time.perf_counter() - began)
            print(f"{given.mode}: {speed:.0f} steps/s, {TRIED if measured else 1} lane(s)", flush=True)
        speeds[given.mode] = speed
    return max(speeds, key=speeds.__getitem__)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--lanes", type=int, default=12)
    options.add_argument("--workers", type=int, default=12)
    options.add_argument("--seconds", type=float, default=480)
    options.add_argument("--limit", type=int)
    options.add_argument("--only", nargs="*")
    options.add_argument(
        "--rounds", type=int, default=1, help="go through the plans so often, a part of each at a time"
    )
    given = options.parse_args()
    run(given, time.monotonic() + given.seconds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
