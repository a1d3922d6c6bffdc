"""Encoders keep their promises of shape; foreground averages ignore what lies outside."""

from __future__ import annotations

import pytest
import torch

from firstscan.domain.errors import UsageError
from firstscan.learning.encoders import ENCODERS, build_encoder
from firstscan.learning.network import Network, foreground_average


@pytest.mark.parametrize(("name", "size"), [("conv", 32), ("swin", 32)])
@pytest.mark.parametrize("channels", [1, 3])
def test_encoder_contract(name: str, size: int, channels: int) -> None:
    torch.manual_seed(0)
    network = Network(name, channels).eval()
    cubes = torch.randn(2, channels, size, size, size)
    with torch.inference_mode():
        deepest = network.encode(cubes)
        logits, reconstruction = network(cubes)
    grid = size // network.encoder.stride
    assert deepest.shape == (2, network.dim, grid, grid, grid)
    assert logits.shape == (2, 4)
    assert reconstruction.shape == cubes.shape


def test_the_paper_encoder_is_768_dimensional() -> None:
    assert build_encoder("swin", 1).dim == 768


def test_unknown_encoder_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="conv, swin"):
        build_encoder("resnet", 1)
    assert set(ENCODERS) == {"conv", "swin"}


def test_decoder_puts_each_patch_in_its_place() -> None:
    network = Network("conv", 1)
    decoder = network.decoder
    with torch.no_grad():
        decoder.to_patches.weight.zero_()
        decoder.to_patches.bias.copy_(torch.arange(64.0))
        out = decoder(torch.zeros(1, network.dim, 1, 1, 1))
    expected = torch.arange(64.0).reshape(4, 4, 4).repeat(4, 4, 4)
    assert torch.equal(out[0, 0], expected)


def test_foreground_average_ignores_background() -> None:
    foreground = torch.zeros(1, 1, 8, 8, 8)
    foreground[..., :4] = 1
    deepest = torch.zeros(1, 2, 2, 2, 2)
    deepest[..., 0] = 3.0
    deepest[..., 1] = 1e6
    assert foreground_average(deepest, foreground).tolist() == [[3.0, 3.0]]


def test_positions_count_alike_however_full_their_cell() -> None:
    foreground = torch.zeros(1, 1, 4, 4, 4)
    foreground[..., :2] = 1
    foreground[0, 0, 0, 0, 2] = 1
    deepest = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    assert foreground_average(deepest, foreground).item() == pytest.approx((0 + 2 + 4 + 6 + 1) / 5)


@pytest.mark.parametrize("name", ["conv", "swin"])
def test_a_frozen_decoder_says_the_same(name: str) -> None:
    torch.manual_seed(0)
    network = Network(name, 2).eval()
    deepest = torch.randn(2, network.dim, 2, 2, 2)
    with torch.inference_mode():
        expected, found = network.decoder(deepest), network.decoder.frozen()(deepest)
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
