"""Parts a and b of gpu.py: whether a GPU measures what a processor does, and how fast it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from extraction import Published
from firstscan.domain.volume import Crop
from firstscan.learning import PRESETS, Extractor, Preset, pretrain
from firstscan.learning.network import Network
from firstscan.learning.weights import save_weights

if TYPE_CHECKING:
    from gpu import Bench

SMALL = {
    "fast": replace(PRESETS["fast"], size=16, window=4, batch_size=2),
    "paper": replace(PRESETS["paper"], size=32, window=8, batch_size=1),
}
"""Presets in toy size; the paper's network halves a cube five times."""
PUBLISHED = {"toy": (12, 64), "whole": (48, PRESETS["paper"].size)}
"""Width of the published network and voxels of its cube; its norm takes no cube that ends as a single position."""


def preset_of(bench: Bench, name: str) -> Preset:
    return SMALL[name] if bench.toy else PRESETS[name]


def part_a(bench: Bench) -> None:
    """Compare U and z of one network and the same crops, and whole short trainings."""
    for name, cases, steps in (("fast", 32, 20), ("paper", 8, 5)):
        preset = preset_of(bench, name)
        torch.manual_seed(0)
        weights = bench.work / f"{name}.pt"
        save_weights(Network(preset.encoder, 1), weights)
        cubes = crops(preset, 2 if bench.toy else cases)
        there = Extractor(weights, preset, channels=1, seed=0, device=bench.device)
        reference = Extractor(weights, preset, channels=1, seed=0, device="cpu")
        found, again, expected = there(cubes), there(cubes), reference(cubes)
        alone = [there([cube])[0] for cube in cubes[:3]]
        bench.keep(
            f"{name}, {len(cubes)} random crops, against the CPU",
            largest_relative_difference_of_U=max(
                abs(x.uncertainty / y.uncertainty - 1) for x, y in zip(found, expected, strict=True)
            ),
            least_cosine_of_z=min(_cosine(x.embedding, y.embedding) for x, y in zip(found, expected, strict=True)),
            same_order_by_U=bool(np.array_equal(_order(found), _order(expected))),
            same_bytes_again=_same(found, again),
            same_bytes_alone=_same(found[:3], alone),
        )
        short_trainings(bench, preset, cubes, 1 if bench.toy else steps)


def short_trainings(bench: Bench, preset: Preset, cubes: Sequence[Crop], steps: int) -> None:
    """Train twice on the device and, with preset fast, once on the CPU; tell whether bytes and losses agree."""
    losses, files = {}, []
    runs = [("first", bench.device), ("second", bench.device)]
    for run, device in [*runs, ("cpu", "cpu")] if preset.name == "fast" else runs:
        short = replace(preset, steps=steps, patience=1.0)
        folder = bench.work / f"{preset.name}-{run}"
        trained = pretrain(cubes, short, channels=1, seed=0, folder=folder, device=device)
        losses[f"last_loss_{run}"] = trained.history[-1].loss
        files.append(trained.weights.read_bytes())
    bench.keep(f"{preset.name}, {steps} training steps", same_bytes_again=files[0] == files[1], **losses)


def part_b(bench: Bench) -> None:
    """Measure cases and training steps a second, peak memory, and what surrounds the network."""
    preset = preset_of(bench, "paper")
    times = 1 if bench.toy else 15
    base = _rate(bench, published(bench), times)
    bench.keep("cases a second, published: ten separate passes", **base)
    for words, options in (("", {}), (" in float32", {"full": True}), (" through torch.compile", {"compiled": True})):
        if bench.toy and options:
            continue  # on a processor there is no half precision, and compiling takes a minute
        measure, at_once = ours(bench, preset, **options)
        found = _rate(bench, measure, times, worth=at_once)
        bench.keep(f"cases a second, ours{words}", **found, against_published=found["a_second"] / base["a_second"])
        if not words:
            end_to_end(bench, preset)
    base = _rate(bench, published_step(bench, preset), times)
    bench.keep("training steps a second, reference", **base)
    found = steps_per_second(bench, preset, 2 if bench.toy else 30)
    bench.keep("training steps a second, ours", **found, against_reference=found["a_second"] / base["a_second"])
    encoders(bench)


def published(bench: Bench) -> Callable[[], None]:
    """Return what takes ten passes of the published network in float32, a case's worth; in toy size one."""
    width, size = PUBLISHED["toy" if bench.toy else "whole"]
    network = Published(width).to(bench.device).eval()
    cube = torch.randn(1, 1, *(size,) * 3, device=bench.device)

    def passes() -> None:
        with torch.no_grad():
            for _ in range(1 if bench.toy else 10):
                network(cube)

    return passes


def ours(
    bench: Bench, preset: Preset, *, compiled: bool = False, full: bool = False
) -> tuple[Callable[[], object], int]:
    """Return what measures a batch of random cubes that lie in memory, and how many it holds."""
    weights = bench.work / "speed.pt"
    torch.manual_seed(0)
    save_weights(Network(preset.encoder, 1), weights)
    kind = _InFloat32 if full else Extractor
    extractor = kind(weights, preset, channels=1, seed=0, device=bench.device, compiled=compiled)
    batch = crops(preset, 1 if bench.toy else extractor.batch_size)
    return lambda: extractor(batch), len(batch)


class _InFloat32(Extractor):
    """An extractor that computes in single precision on a GPU, too."""

    @property
    def _half(self) -> bool:
        return False


def end_to_end(bench: Bench, preset: Preset) -> None:
    """Time crops on disk → rows of features, as the step does it, and one core's time for what needs no network."""
    from firstscan.execution import run_cases, usable_cores
    from firstscan.steps.measuring.extract import _Meter, measure
    from firstscan.steps.measuring.instant import of_crop
    from firstscan.steps.measuring.standardise import CropFile

    cubes = crops(preset, 1 if bench.toy else 8)
    files = [_stored(bench.work, cube) for cube in cubes]
    at_once = len(cubes)
    batches = [("batch", tuple(CropFile(*f) for f in files))] * (1 if bench.toy else 60)
    meter = _Meter(bench.work / "speed.pt", preset, 1, 0, bench.device, "foreground")
    began = time.perf_counter()
    for _, found in run_cases(measure, batches, setup=meter, shared=True, workers=max(2, usable_cores())):
        if isinstance(found, Exception):
            raise found
    seconds = time.perf_counter() - began
    began = time.thread_time()
    of_crop(cubes[0])
    groups = time.thread_time() - began
    bench.keep(
        "cases a second, crops on disk to features",
        a_second=len(batches) * at_once / seconds,
        threads=max(2, usable_cores()),
        processor_s_a_case_without_network=groups,
    )


def _stored(folder: Path, cube: Crop) -> tuple[str, Path, Path, float]:
    voxels, mask = folder / f"{cube.case_id}.npy", folder / f"{cube.case_id}.mask.npy"
    np.save(voxels, cube.voxels)
    np.save(mask, cube.foreground)
    return cube.case_id, voxels, mask, 1.0


def published_step(bench: Bench, preset: Preset) -> Callable[[], None]:
    """Return a training step of the reference: float32, two views of each case one after another."""
    width, size = PUBLISHED["toy" if bench.toy else "whole"]
    network = Published(width).to(bench.device)
    optimiser = torch.optim.AdamW(network.parameters())
    cubes = torch.randn(preset.batch_size, 1, *(size,) * 3, device=bench.device)

    def step() -> None:
        optimiser.zero_grad()
        sum((network(cubes) - cubes).square().mean() for _ in range(2)).backward()
        optimiser.step()

    return step


def steps_per_second(bench: Bench, preset: Preset, steps: int) -> dict[str, float]:
    """Time whole pretraining, drawing and copying of batches included, between two progress reports."""
    times: list[float] = []
    first = 1 if bench.toy else 5
    _forget_peak(bench)
    pretrain(
        crops(preset, 2 * preset.batch_size),
        replace(preset, steps=steps + first, patience=1.0),
        channels=1,
        seed=0,
        folder=bench.work / f"steps-{time.monotonic_ns()}",
        device=bench.device,
        checkpoint_every=10**6,
        progress=lambda *_: times.append(time.perf_counter()),
    )
    return {"a_second": steps / (times[-1] - times[-1 - steps]), **_peak(bench)}


def encoders(bench: Bench) -> None:
    """Time two pretrained encoders with random weights, in bfloat16 and in float32; dinov2 only where timm is."""
    from monai.networks.nets.swin_unetr import SwinTransformer

    from firstscan.domain.encoding import KINDS
    from firstscan.domain.volume import Volume
    from firstscan.learning.pretrained import Embedder

    width = 12 if bench.toy else 48
    swin = SwinTransformer(1, width, (7, 7, 7), (2, 2, 2), (2, 2, 2, 2), (3, 6, 12, 24))
    torch.save({f"module.{k}": v for k, v in swin.state_dict().items()}, bench.work / "swin.pt")
    files = {"swinunetr": bench.work / "swin.pt"}
    try:
        import timm

        model = timm.create_model("vit_small_patch14_dinov2", num_classes=0, dynamic_img_size=True)
        torch.save(model.state_dict(), bench.work / "dino.pt")
        files["dinov2"] = bench.work / "dino.pt"
    except Exception as error:  # torchvision, which timm imports, breaks in many ways beside another torch
        bench.keep("encoder dinov2 left out", because=f"timm cannot be imported ({type(error).__name__})")
    edge = 32 if bench.toy else 192
    rng = np.random.default_rng(0)
    voxels = rng.random((1, edge, edge, edge), dtype=np.float32)
    scan = Volume("a", voxels, np.ones(voxels.shape[1:], bool), (1.0, 1.0, 1.0), np.eye(4), ("ct",), "ct")
    for name, file in files.items():
        given = replace(KINDS[name].given, size=(32, 32, 32)) if bench.toy else KINDS[name].given
        embedder = Embedder(name, file, given, channels=("ct",), device=bench.device)
        found: list[np.ndarray] = []
        for half in (embedder._machine.half, False)[: 1 if bench.toy else 2]:
            embedder._machine.half = half
            rate = _rate(bench, lambda one=embedder: one(scan), 1 if bench.toy else 5)
            bench.keep(f"scans a second, encoder {name} in {'bfloat16' if half else 'float32'}, {edge}³ voxels", **rate)
            found.append(embedder(scan))
        if len(found) == 2:
            bench.keep(f"encoder {name}", cosine_of_both=_cosine(*found))


def crops(preset: Preset, count: int) -> list[Crop]:
    """Return random cubes of the preset's size, nothing but foreground."""
    rng = np.random.default_rng(0)
    shape = (preset.size,) * 3
    return [
        Crop(f"case{i}", rng.standard_normal((1, *shape)).astype(np.float32), np.ones(shape, dtype=bool), 1.0)
        for i in range(count)
    ]


def _rate(bench: Bench, compute: Callable[[], object], times: int, worth: float = 1) -> dict[str, float]:
    """Return how often a second ``compute`` is done, times what it is ``worth``, and the peak of the GPU's memory."""
    for _ in range(0 if bench.toy else 2):
        compute()
    _forget_peak(bench)
    start = time.perf_counter()
    for _ in range(times):
        compute()
    if bench.device == "cuda":
        torch.cuda.synchronize()
    return {"a_second": times * worth / (time.perf_counter() - start), **_peak(bench)}


def _forget_peak(bench: Bench) -> None:
    if bench.device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def _peak(bench: Bench) -> dict[str, float]:
    return {"peak_GiB": torch.cuda.max_memory_allocated() / 2**30} if bench.device == "cuda" else {}


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _order(found: Sequence[Any]) -> np.ndarray:
    return np.argsort([f.uncertainty for f in found], kind="stable")


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(x.uncertainty == y.uncertainty and x.embedding.tobytes() == y.embedding.tobytes() for x, y in pairs)
