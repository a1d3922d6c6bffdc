"""A scan of any size becomes one embedding: every position of the foreground has a say, in the network's frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.volume import Volume
from firstscan.learning.lanes import Lanes
from firstscan.learning.pretrained.pooling import SLICES, Machine, cubes_average, slices_moments

CPU = torch.device("cpu")


def machine(network, batch: int = 1, threads: int | None = 1) -> Machine:
    return Machine(network, CPU, batch, None if threads is None else Lanes(threads))


def volume(voxels: np.ndarray, mask: np.ndarray | None = None) -> Volume:
    mask = np.ones(voxels.shape[1:], bool) if mask is None else mask
    names = tuple(f"c{i}" for i in range(len(voxels)))
    return Volume("a", voxels.astype(np.float32), mask, (1.0, 1.0, 1.0), np.eye(4), names, "mr")


def identity(inputs: Tensor) -> Tensor:
    return inputs


def ramp(shape=(10, 12, 14)) -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float32)


def test_a_scan_of_whole_inputs_gives_the_mean_over_its_foreground():
    rng = np.random.default_rng(0)
    voxels, mask = rng.normal(size=(2, 16, 24, 8)), rng.random((16, 24, 8)) < 0.3
    found = cubes_average(volume(voxels, mask), machine(identity), (8, 8, 8), "LPS")
    np.testing.assert_allclose(found, voxels[:, mask].mean(axis=1), rtol=1e-5)


def test_a_small_scan_lies_in_the_middle_of_zeros():
    seen = []

    def look(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return inputs

    found = cubes_average(volume(np.ones((1, 4, 6, 8))), machine(look), (8, 8, 8), "LPS")
    assert found == pytest.approx([1.0])
    expected = torch.zeros(1, 1, 8, 8, 8)
    expected[:, :, 2:6, 1:7] = 1
    assert torch.equal(seen[0], expected)


def test_inputs_without_foreground_are_not_computed():
    calls = []

    def count(inputs: Tensor) -> Tensor:
        calls.append(len(inputs))
        return inputs.mean(dim=(2, 3, 4))

    mask = np.zeros((32, 8, 8), bool)
    mask[:8] = True
    cubes_average(volume(np.ones((1, 32, 8, 8)), mask), machine(count), (8, 8, 8), "LPS")
    assert calls == [1]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [("LPS", lambda v: v), ("RAS", lambda v: v[:, ::-1, ::-1]), ("SPL", lambda v: v.transpose(0, 3, 2, 1))],
)
def test_the_network_sees_the_axes_that_it_was_trained_with(axes, expected):
    seen = []

    def look(inputs: Tensor) -> Tensor:
        seen.append(inputs[0].numpy().copy())
        return inputs

    voxels = ramp((8, 10, 12))
    cubes_average(volume(voxels), machine(look), (8, 10, 12), axes)
    np.testing.assert_array_equal(seen[0], expected(voxels))


def test_vectors_count_once_an_input():
    voxels = np.concatenate([np.zeros((1, 8, 8, 8)), np.full((1, 8, 8, 8), 4.0)], axis=1)
    found = cubes_average(volume(voxels), machine(lambda x: x.mean(dim=(2, 3, 4))), (8, 8, 8), "LPS")
    assert found == pytest.approx([2.0])


def test_neither_threads_nor_the_batch_change_an_embedding():
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 4, 4, stride=4).eval()
    voxels = np.random.default_rng(0).normal(size=(1, 40, 24, 33))
    found = [
        cubes_average(volume(voxels), machine(network, threads=threads), (16, 16, 16), "RAS") for threads in (1, 2, 3)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    together = cubes_average(volume(voxels), machine(network, batch=4, threads=None), (16, 16, 16), "RAS")
    np.testing.assert_allclose(together, found[0], rtol=1e-5, atol=1e-6)


def test_memory_that_runs_out_means_smaller_batches_once_with_a_word(caplog):
    sizes = []

    def network(inputs: Tensor) -> Tensor:
        sizes.append(len(inputs))
        if len(inputs) > 1:
            raise torch.OutOfMemoryError("too much")
        return inputs

    run = machine(network, batch=4, threads=None)
    assert cubes_average(volume(np.ones((1, 24, 8, 8))), run, (8, 8, 8), "LPS") == pytest.approx([1.0])
    assert sizes == [4, 1, 1, 1]
    assert "going on one by one" in caplog.text
    run.network = lambda inputs: (_ for _ in ()).throw(torch.OutOfMemoryError("still too much"))
    with pytest.raises(UsageError, match=r"too small to embed one input; .* --device cpu"):
        cubes_average(volume(np.ones((1, 8, 8, 8))), run, (8, 8, 8), "LPS")


def test_half_precision_gives_the_same_embedding_but_for_rounding():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 8, 4, stride=4), torch.nn.GELU(), torch.nn.Conv3d(8, 16, 1)).eval()
    scan = volume(np.random.default_rng(0).normal(size=(1, 24, 16, 16)))
    run = machine(network, batch=4, threads=None)
    full = cubes_average(scan, run, (16, 16, 16), "LPS")
    run.half = True  # the way of a GPU, walked on a CPU
    half = cubes_average(scan, run, (16, 16, 16), "LPS")
    assert half.dtype == np.float32
    assert not np.array_equal(half, full)
    np.testing.assert_allclose(half, full, atol=0.02 * np.abs(full).max())


def test_numbers_that_are_none_name_the_case():
    with pytest.raises(DataError, match="a: the encoder gives NaN"):
        cubes_average(volume(np.ones((1, 8, 8, 8))), machine(lambda x: x * torch.nan), (8, 8, 8), "LPS")


def tokens(inputs: Tensor) -> Tensor:
    """Means over patches of 2²."""
    return torch.nn.functional.avg_pool2d(inputs, 2)


def test_slices_give_mean_and_variance_of_each_plane():
    voxels = ramp((12, 12, 12))[2:]  # intensity is z
    found = slices_moments(volume(voxels), machine(tokens), 2)
    z = np.floor((np.arange(11) + 0.5) * 12 / 11)
    rows = np.arange(0.5, 12, 2)
    expected = [z.mean(), z.var(), rows.mean(), rows.var(), rows.mean(), rows.var()]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_slices_are_seen_upright_and_shared_out_among_planes():
    seen: list[Tensor] = []

    def look(inputs: Tensor) -> Tensor:
        seen.extend(inputs)
        return inputs

    voxels = ramp((40, 50, 60))
    for channel, rows_grow, columns_grow in ((0, None, True), (1, True, None)):
        seen.clear()
        slices_moments(volume(voxels[channel : channel + 1]), machine(look), 1)
        assert len(seen) == SLICES
        axial = seen[0][0]
        assert axial.shape == (50, 40)
        if rows_grow:
            assert (axial.diff(dim=0) > 0).all()
        if columns_grow:
            assert (axial.diff(dim=1) > 0).all()
    seen.clear()
    slices_moments(volume(voxels[2:]), machine(look), 1)
    assert [tuple(image.shape[1:]) for image in (seen[11], seen[-1])] == [(60, 40), (60, 50)]
    assert (seen[11][0].diff(dim=0) < 0).all()  # the head is up
    assert (seen[-1][0].diff(dim=0) < 0).all()


def test_tokens_without_foreground_have_no_say():
    voxels, mask = np.zeros((1, 12, 12, 12)), np.zeros((12, 12, 12), bool)
    mask[:6] = True
    voxels[:, 6:] = 100
    found = slices_moments(volume(voxels, mask), machine(tokens), 2)
    assert found[0] == pytest.approx(0)
    assert found[1] == pytest.approx(0)
