"""Pretraining learns, resumes to the same bytes, and refuses weights that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from firstscan.domain.errors import UsageError
from firstscan.domain.volume import Crop
from firstscan.learning.batches import make_batch
from firstscan.learning.network import Network
from firstscan.learning.presets import PRESETS, resolve_device, resolve_preset
from firstscan.learning.pretrain import HistoryRow, learning_rate, plateaued, pretrain
from firstscan.learning.weights import load_weights, save_weights

TINY = replace(PRESETS["fast"], size=16, window=4, steps=12, batch_size=2, patience=1.0)


def crops(n: int = 5, size: int = 16, channels: int = 1) -> list[Crop]:
    rng = np.random.default_rng(0)
    smooth = np.sin(np.linspace(0, 3, size))[:, None, None] * np.ones((size, size, size))
    return [
        Crop(
            f"case{i}",
            (smooth + 0.1 * rng.standard_normal((channels, size, size, size))).astype(np.float32),
            np.ones((size, size, size), dtype=bool),
            1.0,
        )
        for i in range(n)
    ]


def test_the_loss_falls_and_is_recorded(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    preset = replace(TINY, steps=40)
    trained = pretrain(
        crops(), preset, channels=1, seed=1, folder=tmp_path, device="cpu", progress=lambda i, n, _: seen.append((i, n))
    )
    losses = [row.inpainting for row in trained.history]
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert seen == [(i + 1, 40) for i in range(40)]
    assert not list(tmp_path.glob("*.partial"))


class Stop(Exception):
    """The power goes off."""


def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = pretrain(crops(), TINY, channels=1, seed=7, folder=tmp_path / "whole", device="cpu")

    def stop_at_eight(step: int, *_: object) -> None:
        if step == 8:
            raise Stop

    options = {"channels": 1, "seed": 7, "folder": tmp_path / "cut", "device": "cpu", "checkpoint_every": 3}
    with pytest.raises(Stop):
        pretrain(crops(), TINY, **options, progress=stop_at_eight)
    resumed_at: list[int] = []
    cut = pretrain(crops(), TINY, **options, progress=lambda step, *_: resumed_at.append(step))
    assert resumed_at[0] == 7
    assert cut.history == whole.history
    assert cut.weights.read_bytes() == whole.weights.read_bytes()


def with_room_for(cubes: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the network run out of a GPU's memory above so many cubes at once; return how many it is given, in turn."""
    seen: list[int] = []
    forward = Network.forward

    def limited(self: Network, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(len(given))
        if len(given) > cubes:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, given)

    monkeypatch.setattr(Network, "forward", limited)
    return seen


def test_memory_that_runs_out_halves_a_step_once_and_learns_the_same(tmp_path, monkeypatch, caplog) -> None:
    preset = replace(TINY, steps=4)
    options = {"channels": 1, "seed": 7, "device": "cpu"}
    whole = pretrain(crops(), preset, folder=tmp_path / "whole", **options)
    seen = with_room_for(2, monkeypatch)
    halved = pretrain(crops(), preset, folder=tmp_path / "halved", **options)
    assert seen == [4, *[2] * 16]  # forward, and again on the way back
    assert caplog.messages == ["the GPU's memory is too small for the 4 views of a step: going on with half"]
    losses = [[row.loss for row in trained.history] for trained in (whole, halved)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    first, second = (torch.load(t.weights, weights_only=True) for t in (whole, halved))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-4)


def test_a_gpu_too_small_for_half_a_step_says_what_to_do(tmp_path, monkeypatch) -> None:
    with_room_for(1, monkeypatch)
    with pytest.raises(UsageError, match=r"too small to train the network; .* --preset fast"):
        pretrain(crops(), TINY, channels=1, seed=7, folder=tmp_path, device="cpu")


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one = pretrain(crops(), TINY, channels=1, seed=1, folder=tmp_path / "1", device="cpu")
    two = pretrain(crops(), TINY, channels=1, seed=2, folder=tmp_path / "2", device="cpu")
    assert one.weights.read_bytes() != two.weights.read_bytes()


def test_every_case_is_seen_equally_often() -> None:
    source = crops(5)
    seen = {c.voxels.tobytes(): 0 for c in source}
    for step in range(10):
        for target in make_batch(source, TINY, seed=3, step=step).target:
            seen[target.numpy().tobytes()] += 1
    assert set(seen.values()) == {4}


def test_two_views_of_a_case_differ_in_mask_rotation_and_axis_order() -> None:
    batch = make_batch(crops(4), replace(TINY, batch_size=4), seed=0, step=0)
    assert not torch.equal(batch.hidden[0], batch.hidden[1])
    for first, second in zip(*batch.views, strict=True):
        assert first.turns != second.turns
        assert first.swap != second.swap
    first, second = batch.restored(batch.seen())
    assert torch.equal(first, batch.target * (1 - batch.hidden[0]))
    assert torch.equal(second, batch.target * (1 - batch.hidden[1]))


def test_ranks_share_a_step_without_changing_it() -> None:
    source = crops(4)
    preset = replace(TINY, batch_size=4)
    whole = make_batch(source, preset, seed=0, step=0)
    for rank in (0, 1):
        share = make_batch(source, preset, seed=0, step=0, rank=rank, ranks=2)
        assert torch.equal(share.target, whole.target[rank::2])
        assert torch.equal(share.hidden[1], whole.hidden[1][rank::2])
        assert share.views[0] == whole.views[0][rank::2]


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    preset = replace(TINY, steps=6, batch_size=4)
    one = pretrain(crops(), preset, channels=1, seed=3, folder=tmp_path / "one", device="cpu")
    seen: list[int] = []
    options = {"channels": 1, "seed": 3, "folder": tmp_path / "two", "device": "cpu", "devices": 2}
    two = pretrain(crops(), preset, **options, progress=lambda step, *_: seen.append(step))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert [r.loss for r in two.history] == pytest.approx([r.loss for r in one.history], rel=1e-3)
    for name, tensor in torch.load(two.weights, weights_only=True).items():
        assert torch.allclose(tensor, torch.load(one.weights, weights_only=True)[name], atol=1e-3), name


def test_more_devices_than_cases_in_a_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="devices must be 1 to 2"):
        pretrain(crops(), TINY, channels=1, seed=3, folder=tmp_path, device="cpu", devices=3)


def test_learning_rate_schedule() -> None:
    preset = replace(TINY, steps=100, warmup=0.1, learning_rate=1.0)
    assert learning_rate(0, preset) == pytest.approx(0.1)
    assert learning_rate(10, preset) == pytest.approx(1.0)
    assert learning_rate(99, preset) < 0.02


def test_plateau() -> None:
    preset = replace(TINY, steps=10, patience=0.3)
    falling = [HistoryRow(i, 10.0 - i, 0.0, 0.0, 0.0, 0.0) for i in range(9)]
    flat = [HistoryRow(i, 1.0, 0.0, 0.0, 0.0, 0.0) for i in range(6)]
    assert not plateaued(falling, preset)
    assert plateaued(flat, preset)
    assert not plateaued(flat[:5], preset)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_weights(Network("conv", 2), tmp_path / "two.pt")
    with pytest.raises(UsageError, match="does not fit"):
        load_weights(Network("conv", 1), tmp_path / "two.pt")
    with pytest.raises(UsageError, match="does not exist"):
        load_weights(Network("conv", 1), tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(UsageError, match="plain weights"):
        load_weights(Network("conv", 1), tmp_path / "text.pt")


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    torch.save({"hook": Path}, tmp_path / "evil.pt")
    with pytest.raises(UsageError, match="plain weights"):
        load_weights(Network("conv", 1), tmp_path / "evil.pt")


def test_published_swin_weights_fill_the_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = Network("swin", 1)
    table = {
        "module." + k.removeprefix("encoder.swin_vit."): v
        for k, v in published.state_dict().items()
        if k.startswith("encoder.")
    }
    torch.save({"state_dict": table}, tmp_path / "swinvit.pt")
    network = Network("swin", 1)
    before = network.decoder.to_patches.weight.clone()
    load_weights(network, tmp_path / "swinvit.pt")
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, published.encoder.state_dict()[key])
    assert torch.equal(network.decoder.to_patches.weight, before)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no scan"):
        pretrain([], TINY, channels=1, seed=0, folder=tmp_path, device="cpu")


def test_presets_and_devices_by_name() -> None:
    assert resolve_preset("auto", "cpu").name == "fast"
    assert resolve_preset("paper").encoder == "swin"
    with pytest.raises(UsageError, match="fast, paper"):
        resolve_preset("quick")
    with pytest.raises(UsageError, match="known: auto"):
        resolve_device("abacus")
