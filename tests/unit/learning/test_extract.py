"""Signals follow the scan, not its surroundings, its neighbours in a batch, or chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from firstscan.domain.errors import UsageError
from firstscan.domain.volume import Crop
from firstscan.learning.extract import GPU_BATCH, Extractor
from firstscan.learning.network import Network, foreground_average
from firstscan.learning.presets import PRESETS, Preset
from firstscan.learning.views import NINE_VIEWS, restore, transform
from firstscan.learning.weights import save_weights

PRESET = replace(PRESETS["fast"], size=16, window=4)
SWIN = replace(PRESETS["paper"], size=32, window=8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    save_weights(Network("conv", 1), path)
    return path


def crop(seed: int, name: str = "a", size: int = 16) -> Crop:
    rng = np.random.default_rng(seed)
    foreground = np.zeros((size, size, size), dtype=bool)
    foreground[2:13, 3:14, 1:15] = True
    return Crop(name, rng.standard_normal((1, size, size, size)).astype(np.float32) * foreground, foreground, 1.0)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_neither_neighbours_nor_threads_change_a_byte(weights: Path, threads: int) -> None:
    alone = Extractor(weights, PRESET, channels=1, seed=1, device="cpu", threads=1)
    expected = [alone([crop(1, "a")])[0], alone([crop(2, "b")])[0]]
    usual = torch.get_num_threads()
    together = Extractor(weights, PRESET, channels=1, seed=1, device="cpu", threads=threads)
    assert (together.batch_size, torch.get_num_threads()) == (threads, usual)
    found = together([crop(1, "a"), crop(2, "b")])
    assert [f.case_id for f in found] == ["a", "b"]
    for x, y in zip(found, expected, strict=True):
        assert x.uncertainty == y.uncertainty
        assert x.embedding.tobytes() == y.embedding.tobytes()
    assert together([]) == []


@pytest.mark.parametrize(("encoder", "preset"), [("conv", PRESET), ("swin", SWIN)])
def test_signals_are_those_of_the_formula(encoder: str, preset: Preset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Network(encoder, 1).eval()
    save_weights(network, tmp_path / "w.pt")
    extractor = Extractor(tmp_path / "w.pt", preset, channels=1, seed=1, device="cpu")
    cube = crop(4, size=preset.size)
    found = extractor([cube])[0]
    voxels, foreground = torch.from_numpy(cube.voxels)[None], torch.from_numpy(cube.foreground)
    with torch.inference_mode():
        seen = [transform(voxels * mask, view) for mask, view in zip(extractor.visible, NINE_VIEWS, strict=True)]
        back = [restore(network(one)[1], view) for one, view in zip(seen, NINE_VIEWS, strict=True)]
        embedding = foreground_average(network.encode(voxels), foreground[None, None].float())[0]
    variance = torch.stack(back).double().var(dim=0, unbiased=False)[0, 0]
    assert found.uncertainty == pytest.approx(float(variance[foreground].mean()), rel=1e-4)
    assert np.allclose(found.embedding, embedding, atol=1e-4)


def test_a_batch_that_is_filled_up_measures_its_cases(weights: Path) -> None:
    extractor = Extractor(weights, PRESET, channels=1, seed=1, device="cpu")
    expected = extractor([crop(1, "a"), crop(2, "b"), crop(3, "c")])
    extractor._lanes, extractor.batch_size = None, 2  # the way of a GPU, walked on a CPU
    found = extractor([crop(1, "a"), crop(2, "b"), crop(3, "c")])
    assert [f.case_id for f in found] == ["a", "b", "c"]
    for x, y in zip(found, expected, strict=True):
        assert x.uncertainty == pytest.approx(y.uncertainty, rel=1e-4)
        assert np.allclose(x.embedding, y.embedding, atol=1e-4)


def on_a_gpu(weights: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> tuple[Extractor, list[int]]:
    """Return an extractor that goes the way of a GPU with room for so many cases, and the batches that it tries."""
    extractor = Extractor(weights, PRESET, channels=1, seed=1, device="cpu")
    extractor._lanes, extractor.batch_size = None, GPU_BATCH
    tried, views = [], extractor._views

    def limited(voxels: torch.Tensor, which: range) -> tuple[torch.Tensor, torch.Tensor]:
        tried.append(len(voxels))
        if len(voxels) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return views(voxels, which)

    monkeypatch.setattr(extractor, "_views", limited)
    return extractor, tried


def test_memory_that_runs_out_halves_the_batch_once_with_a_line(weights, monkeypatch, caplog) -> None:
    extractor, tried = on_a_gpu(weights, monkeypatch, room=4)
    cases = [crop(i, f"c{i}") for i in range(9)]
    found = extractor(cases)
    assert tried == [8, 4, 4, 4]
    assert caplog.messages == ["the GPU's memory is too small for 8 scans at once: going on with 4"]
    extractor(cases[:1])
    assert len(caplog.messages) == 1
    expected = Extractor(weights, PRESET, channels=1, seed=1, device="cpu")(cases)
    assert [f.case_id for f in found] == [c.case_id for c in cases]
    for x, y in zip(found, expected, strict=True):
        assert x.uncertainty == pytest.approx(y.uncertainty, rel=1e-4)


def test_a_gpu_too_small_for_half_a_batch_says_what_to_do(weights, monkeypatch) -> None:
    extractor, tried = on_a_gpu(weights, monkeypatch, room=2)
    with pytest.raises(UsageError, match=r"too small to measure 4 scans at a time; .* --device cpu"):
        extractor([crop(1)])
    assert tried == [8, 4]


def test_same_seed_same_bytes(weights: Path) -> None:
    one, two = (Extractor(weights, PRESET, channels=1, seed=1, device="cpu")([crop(1)])[0] for _ in range(2))
    assert one.uncertainty == two.uncertainty
    assert one.embedding.tobytes() == two.embedding.tobytes()
    other = Extractor(weights, PRESET, channels=1, seed=2, device="cpu")([crop(1)])[0]
    assert other.uncertainty != one.uncertainty


def test_the_number_of_threads_plays_no_part(weights: Path) -> None:
    preset = replace(PRESET, size=32, window=8)
    rng = np.random.default_rng(0)
    shape = (preset.size,) * 3
    scan = Crop("a", rng.standard_normal((1, *shape)).astype(np.float32), rng.random(shape) > 0.3, 1.0)
    before, seen = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found = Extractor(weights, preset, channels=1, seed=1, device="cpu")([scan])[0]
            seen.add((found.embedding.tobytes(), found.uncertainty))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 1


def test_the_name_of_a_case_plays_no_part(weights: Path) -> None:
    extractor = Extractor(weights, PRESET, channels=1, seed=1, device="cpu")
    assert extractor([crop(1, "a")])[0].uncertainty == extractor([crop(1, "b")])[0].uncertainty


def test_a_blind_network_is_never_uncertain(tmp_path: Path) -> None:
    network = Network("conv", 1)
    with torch.no_grad():
        network.decoder.to_patches.weight.zero_()
        network.decoder.to_patches.bias.fill_(0.5)
    save_weights(network, tmp_path / "w.pt")
    assert Extractor(tmp_path / "w.pt", PRESET, channels=1, seed=0, device="cpu")([crop(3)])[0].uncertainty < 1e-12


def test_region_all_is_the_published_average(weights: Path) -> None:
    inner = Extractor(weights, PRESET, channels=1, seed=1, device="cpu")([crop(1)])[0]
    whole = Extractor(weights, PRESET, channels=1, seed=1, device="cpu", region="all")([crop(1)])[0]
    assert whole.uncertainty != inner.uncertainty


def test_arrays_may_be_read_only_or_turned_around(weights: Path) -> None:
    extractor = Extractor(weights, PRESET, channels=1, seed=1, device="cpu")
    cube = crop(1)
    shared = cube.voxels[..., ::-1].copy()[..., ::-1]
    shared.flags.writeable = False
    found = extractor([replace(cube, voxels=shared)])[0]
    assert found.uncertainty == extractor([cube])[0].uncertainty
