"""The network of ``unet``, its training loop and its sliding-window prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from monai.losses.dice import DiceCELoss
from monai.networks.nets.unet import UNet
from torch.nn import functional

from .protocol import Progress

if TYPE_CHECKING:
    from .unet import Unet


@contextmanager
def pinned(threads: int, seed: int) -> Iterator[None]:
    """Run with a fixed number of threads and a seeded generator, and restore both."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def build(settings: Unet, channels: int, outputs: int) -> torch.nn.Module:
    """Return MONAI's residual U-Net: four stages, the first already at half resolution, for speed."""
    f = settings.features
    network: torch.nn.Module = UNet(
        spatial_dims=3,
        in_channels=channels,
        out_channels=outputs,
        channels=(f, 2 * f, 4 * f, 4 * f),
        strides=(2, 2, 2),
        num_res_units=2,
        norm=("INSTANCE", {"affine": True}),
    )
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def fit(
    settings: Unet,
    cases: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: int,
    patch: tuple[int, ...],
    *,
    seed: int,
    progress: Progress,
) -> dict[str, torch.Tensor]:
    """Train on (channels, class indices) pairs and return the weights on the CPU."""
    device = torch.device(settings.device)
    network = build(settings, len(cases[0][0]), classes + 1).to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=max(settings.iterations, 2), pct_start=0.2
    )
    loss_of = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    sampler = Sampler(cases, patch, settings.foreground_share, np.random.default_rng([seed, 1]))
    augment = np.random.default_rng([seed, 2])
    for step in range(settings.iterations):
        images, labels = sampler.batch(settings.batch_size)
        images, labels = augmented(images.to(device), labels.to(device), augment)
        images = images.contiguous(memory_format=torch.channels_last_3d)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(network(images), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 9 or step + 1 == settings.iterations:
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(f"the training loss became {value} at step {step + 1}")
            progress(step + 1, settings.iterations, f"loss {value:.3f}")
    return {k: v.detach().cpu() for k, v in network.state_dict().items()}


class Sampler:
    """Draws patches: a share centred on a voxel of a class drawn at random among those present, the rest anywhere."""

    def __init__(
        self,
        cases: Sequence[tuple[np.ndarray, np.ndarray]],
        patch: tuple[int, ...],
        foreground_share: float,
        rng: np.random.Generator,
    ) -> None:
        self._patch = patch
        self._share = foreground_share
        self._rng = rng
        self._cases = [_padded(image, label, patch) for image, label in cases]
        self._voxels = [[np.argwhere(label == c) for c in np.unique(label) if c > 0] for _, label in self._cases]

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``size`` patches (batch, channel, x, y, z) and their class indices (batch, 1, x, y, z)."""
        drawn = [self._one() for _ in range(size)]
        images = torch.from_numpy(np.stack([d[0] for d in drawn]))
        return images, torch.from_numpy(np.stack([d[1][None] for d in drawn]))

    def _one(self) -> tuple[np.ndarray, np.ndarray]:
        index = int(self._rng.integers(len(self._cases)))
        image, label = self._cases[index]
        room = np.subtract(label.shape, self._patch)
        present = self._voxels[index]
        if present and self._rng.random() < self._share:
            voxels = present[int(self._rng.integers(len(present)))]
            centre = voxels[int(self._rng.integers(len(voxels)))]
            start = np.clip(centre - np.array(self._patch) // 2, 0, room)
        else:
            start = np.array([int(self._rng.integers(r + 1)) for r in room])
        box = tuple(slice(int(s), int(s) + p) for s, p in zip(start, self._patch, strict=True))
        return image[(slice(None), *box)], label[box]


def augmented(
    images: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch under one random rotation (±20°), scale (0.8–1.25), and intensity change each.

    Intensities: contrast and brightness on every patch; gamma, blur by lower resolution, and noise now and then.
    """
    n = len(images)
    matrices = torch.from_numpy(np.stack([_affine(rng) for _ in range(n)])).to(images)
    size = torch.tensor(images.shape[:1:-1], dtype=images.dtype, device=images.device)
    matrices[:, :, :3] *= size[None, None, :] / size[None, :, None]  # rotate in voxels, not in relative units
    field = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, field, mode="bilinear", padding_mode="border", align_corners=False)
    labels = functional.grid_sample(
        labels.to(images.dtype), field, mode="nearest", padding_mode="border", align_corners=False
    )
    return torch.stack([_intensity(image, rng) for image in images]), labels


def _affine(rng: np.random.Generator) -> np.ndarray:
    a, b, c = rng.uniform(-math.pi / 9, math.pi / 9, 3) * (rng.random() < 0.5)
    scale = math.exp(rng.uniform(-0.22, 0.22)) if rng.random() < 0.5 else 1.0
    rotate_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    rotate_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    rotate_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return np.concatenate([scale * rotate_x @ rotate_y @ rotate_z, np.zeros((3, 1))], axis=1)


def _intensity(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    image = image * rng.uniform(0.75, 1.25) + rng.uniform(-0.2, 0.2)
    if rng.random() < 0.3:
        low, high = image.amin(), image.amax()
        span = (high - low).clamp_min(1e-6)
        image = ((image - low) / span) ** rng.uniform(0.7, 1.5) * span + low
    if rng.random() < 0.2:
        factor = rng.uniform(0.5, 1.0)
        small = functional.interpolate(image[None], scale_factor=factor, mode="trilinear", align_corners=False)
        image = functional.interpolate(small, size=image.shape[1:], mode="trilinear", align_corners=False)[0]
    if rng.random() < 0.2:
        noise = torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32)).to(image.device)
        image = image + rng.uniform(0.0, 0.2) * noise
    return image


def _padded(image: np.ndarray, label: np.ndarray, patch: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return both arrays padded evenly, by their edge and with background, to hold at least one patch."""
    missing = [max(p - n, 0) for p, n in zip(patch, label.shape, strict=True)]
    width = [(m // 2, m - m // 2) for m in missing]
    return np.pad(image, [(0, 0), *width], mode="edge"), np.pad(label, width)


def save(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write weights so that a killed run never leaves half a file."""
    content, part = BytesIO(), path.with_suffix(".part")
    torch.save(weights, content)  # into memory: written to a full disk, torch's own words do not tell what happened
    part.write_bytes(content.getbuffer())
    part.replace(path)


def load(settings: Unet, path: Path, channels: int, outputs: int) -> torch.nn.Module:
    """Return the trained network, ready to predict."""
    network = build(settings, channels, outputs)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.to(settings.device).eval()


def label(network: torch.nn.Module, voxels: np.ndarray, patch: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Return class indices on the scan's own grid of ``shape``; probabilities, not labels, are resampled."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        images = torch.from_numpy(voxels)[None].to(device)
        logits: Any = sliding_window_inference(images, patch, 2, network, overlap=0.5, mode="gaussian")
        if tuple(logits.shape[2:]) != shape:
            logits = functional.interpolate(logits.softmax(1), size=shape, mode="trilinear", align_corners=False)
        winner: np.ndarray = logits.argmax(1)[0].cpu().numpy()
    return winner
