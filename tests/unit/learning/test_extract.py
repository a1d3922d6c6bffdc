"""Signals follow the scan, not its surroundings, its neighbours in a batch, or chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from firstscan.domain.volume import Crop
from firstscan.learning.extract import Extractor
from firstscan.learning.network import Network
from firstscan.learning.presets import PRESETS
from firstscan.learning.weights import save_weights

PRESET = replace(PRESETS["fast"], size=16, window=4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    save_weights(Network("conv", 1), path)
    return path


def crop(seed: int, name: str = "a") -> Crop:
    rng = np.random.default_rng(seed)
    foreground = np.zeros((16, 16, 16), dtype=bool)
    foreground[2:13, 3:14, 1:15] = True
    return Crop(name, rng.standard_normal((1, 16, 16, 16)).astype(np.float32) * foreground, foreground, 1.0)


def test_one_pass_or_several_agree(weights: Path) -> None:
    extractor = Extractor(weights, PRESET, channels=1, seed=1, device="cpu")
    together = extractor([crop(1, "a"), crop(2, "b")])
    alone = [extractor([crop(1, "a")])[0], extractor([crop(2, "b")])[0]]
    assert [f.case_id for f in together] == ["a", "b"]
    for x, y in zip(together, alone, strict=True):
        assert x.uncertainty == pytest.approx(y.uncertainty, rel=1e-4)
        assert np.allclose(x.embedding, y.embedding, atol=1e-4)


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
