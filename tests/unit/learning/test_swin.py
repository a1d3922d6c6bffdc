"""The paper's encoder computes what MONAI's does, with MONAI's parameters, for the result and for every gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from firstscan.learning.encoders.swin import WINDOW, SwinEncoder
from firstscan.learning.encoders.windows import stage_plan
from firstscan.learning.network import Network
from firstscan.learning.weights import load_weights, save_weights


def trained(channels: int = 1) -> SwinEncoder:
    """Return an encoder whose every parameter matters, position biases above all."""
    torch.manual_seed(3)
    encoder = SwinEncoder(channels)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith("bias_table"):
                parameter.normal_(0, 1.5)
            elif parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                parameter.mul_(1.5)
    return encoder


@pytest.mark.parametrize(
    ("size", "channels", "batch"),
    [
        (32, 2, 2),  # grids 16, 8, 4, 2: both paddings, and windows that shrink
        pytest.param(64, 1, 1, marks=pytest.mark.slow),  # grids 32, 16, 8, 4
        pytest.param(96, 1, 1, marks=pytest.mark.slow),  # the paper's: 48, 24, 12, 6
    ],
)
def test_the_result_is_monais(size: int, channels: int, batch: int) -> None:
    encoder = trained(channels).eval()
    cubes = torch.randn(batch, channels, size, size, size)
    with torch.inference_mode():
        expected = encoder.swin_vit(cubes)[-1]
        found = encoder(cubes)
        frozen = encoder.frozen(size)(cubes)
    assert torch.allclose(found, expected, atol=2e-5)
    assert torch.equal(frozen, found)


def test_every_gradient_is_monais() -> None:
    encoder = trained()
    cubes, weights = torch.randn(2, 1, 32, 32, 32), torch.randn(2, 768, 1, 1, 1)
    gradients = []
    for deepest in (encoder.swin_vit(cubes)[-1], encoder(cubes)):
        encoder.zero_grad()
        (deepest * weights).sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in encoder.named_parameters()})
    for name, expected in gradients[0].items():
        scale = expected.abs().max().clamp_min(1e-3)
        assert torch.allclose(gradients[1][name] / scale, expected / scale, atol=2e-4), name


def test_published_weights_fit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = {f"module.{k}": v for k, v in trained().swin_vit.state_dict().items()}
    renamed = {k.replace("linear1", "fc1").replace("linear2", "fc2"): v for k, v in published.items()}
    torch.save({"state_dict": renamed}, tmp_path / "swinvit.pt")
    network = Network("swin", 1)
    load_weights(network, tmp_path / "swinvit.pt")
    own = network.encoder.swin_vit.state_dict()
    assert all(torch.equal(own[k.removeprefix("module.")], v) for k, v in published.items())
    save_weights(network, tmp_path / "own.pt")
    assert set(torch.load(tmp_path / "own.pt", weights_only=True)) == set(network.state_dict())


@pytest.mark.parametrize("grid", [2, 4, 6, 8, 12, 16, 24, 48])
def test_a_plan_passes_on_every_token_once(grid: int) -> None:
    plan = stage_plan(grid, WINDOW, 2, torch.device("cpu"))
    raster = torch.arange(grid**3)
    tokens = raster
    for groups in plan.blocks:
        rows = torch.cat([group.rows for group in groups])
        assert torch.equal(rows.sort().values, raster)
        assert all(len(group.rows) % group.tokens == 0 for group in groups)
        tokens = tokens[rows]
    parents = tokens[plan.merge].reshape(-1, 8)
    first = np.stack(np.unravel_index(parents[:, 0].numpy(), (grid,) * 3))
    assert (first % 2 == 0).all()
    assert torch.equal(parents[:, 0].sort().values, parents[:, 0])
    assert torch.equal(parents.ravel().sort().values, raster)
