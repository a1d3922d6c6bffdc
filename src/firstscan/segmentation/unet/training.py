"""The network of ``unet``, its loss and its training loop, on a processor or as a CUDA graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.networks.nets.unet import UNet
from torch.nn import functional

from firstscan.segmentation.protocol import Progress

from .draws import IGNORED, Draws, draw, normal_numbers, spots_of

if TYPE_CHECKING:
    from .segmenter import Unet

Case = tuple[np.ndarray, np.ndarray]
"""Channels (channel, x, y, z) and class indices (x, y, z) of one scan at the working spacing."""
_CLIP = 12.0


@contextmanager
def pinned(threads: int, seed: int) -> Iterator[None]:
    """Run with a fixed number of threads, a seeded generator and repeatable GPU kernels, and restore all of them."""
    before, repeatable = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.deterministic = repeatable


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
    cases: Sequence[Case],
    classes: int,
    patch: tuple[int, ...],
    spacing_mm: Sequence[float],
    *,
    seed: int,
    progress: Progress,
) -> dict[str, torch.Tensor]:
    """Train on (channels, class indices) pairs and return the weights on the CPU."""
    steps = settings.steps(sparse=any((labels == IGNORED).any() for _, labels in cases))
    padded = [_padded(image, labels, patch) for image, labels in cases]
    draws = draw(
        [spots_of(labels) for _, labels in cases],
        patch,
        spacing_mm,
        steps=steps,
        batch=settings.batch_size,
        foreground_share=settings.foreground_share,
        seed=seed,
    )
    network = build(settings, len(cases[0][0]), classes + 1)
    if settings.device == "cuda":
        from .graph import Lane

        lane = Lane(network, patch, settings.learning_rate, room=_room(padded, draws), batch=settings.batch_size)
        lane.begin(network.state_dict(), padded, draws)
        for step in range(steps):
            lane.step()
            if step % 50 == 49:
                progress(step + 1, steps, "")
        return lane.weights()
    return _fitted(network.train(), padded, draws, patch, settings.learning_rate, progress=progress)


def _room(padded: Sequence[Case], draws: Draws) -> tuple[int, tuple[int, ...], int]:
    """Return what a lane has to hold: scans, the largest shape, and steps."""
    largest = tuple(int(n) for n in np.max([labels.shape for _, labels in padded], axis=0))
    return len(padded), largest, len(draws.case)


def _fitted(
    network: torch.nn.Module,
    padded: Sequence[Case],
    draws: Draws,
    patch: tuple[int, ...],
    peak: float,
    *,
    progress: Progress,
) -> dict[str, torch.Tensor]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=1e-4)
    noise = torch.from_numpy(normal_numbers())
    rates = learning_rates(peak, len(draws.case))
    for step, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        now = Drawn.at(draws, step)
        images, labels = _patches(padded, now, patch)
        images, labels = augmented(images, labels, now, noise)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(network(images.contiguous(memory_format=torch.channels_last_3d)), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimizer.step()
        if step % 10 == 9 or step + 1 == len(rates):
            value = require_finite(float(loss.detach()), step)
            progress(step + 1, len(rates), f"loss {value:.3f}")
    return {k: v.detach() for k, v in network.state_dict().items()}


def require_finite(loss: float, step: int) -> float:
    """Return the loss.  Raises FloatingPointError where training has diverged."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss} at step {step + 1}")
    return loss


def learning_rates(peak: float, steps: int) -> list[float]:
    """Return the learning rate of every step: one cycle, rising over the first fifth (Smith & Topin 2018)."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=peak)
    rise = 0.4 if steps == 5 else 0.2  # a fifth of 5 steps is a rise of length 0, by which OneCycleLR divides
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=max(steps, 2), pct_start=rise)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy plus Dice loss over the annotated voxels; what is ignored has no gradient.

    ``logits`` (batch, class, x, y, z); ``labels`` (batch, 1, x, y, z) class indices, or IGNORED. Dice is taken over the
    batch as one, for each class but the background, and averaged.
    """
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)
    truth = (labels == classes).to(logits.dtype)
    known = (labels != IGNORED).to(logits.dtype)
    logs = functional.log_softmax(logits, dim=1)
    entropy = -(truth * logs).sum() / known.sum().clamp_min(1.0)
    guess = logs.exp() * known
    over = (0, 2, 3, 4)
    both, sums = (guess * truth).sum(over), guess.sum(over) + truth.sum(over)
    dice = (2.0 * both + 1e-5) / (sums + 1e-5)
    return entropy + 1.0 - dice[1:].mean()


@dataclass(frozen=True)
class Drawn:
    """The draws of one step as tensors (patch, …); fields as in :class:`Draws`."""

    case: torch.Tensor
    start: torch.Tensor
    matrix: torch.Tensor
    contrast: torch.Tensor
    brightness: torch.Tensor
    gamma: torch.Tensor
    blur: torch.Tensor
    noise: torch.Tensor
    noise_at: torch.Tensor

    @classmethod
    def at(cls, draws: Draws, step: int) -> Drawn:
        """Return the draws of ``step``."""
        return cls(**{f.name: torch.from_numpy(getattr(draws, f.name)[step]) for f in fields(cls)})


def augmented(
    images: torch.Tensor, labels: torch.Tensor, drawn: Drawn, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return patches turned, scaled and changed in intensity as ``drawn``; labels are turned with them.

    ``images`` (patch, channel, x, y, z), ``labels`` (patch, 1, x, y, z) class indices.
    """
    shape = images.shape
    size = torch.stack([images.new_full((), float(n)) for n in shape[:1:-1]])  # no copy from the host: see graph.py
    turn = drawn.matrix.flip(1, 2) * (size[None, None, :] / size[None, :, None])  # z y x, in relative units
    theta = torch.cat([turn, torch.zeros_like(turn[:, :, :1])], dim=2)
    field = functional.affine_grid(theta, list(shape), align_corners=False)
    images = functional.grid_sample(images, field, mode="bilinear", padding_mode="border", align_corners=False)
    labels = functional.grid_sample(
        labels.to(images.dtype), field, mode="nearest", padding_mode="border", align_corners=False
    )
    by_patch = {name: getattr(drawn, name).view(-1, 1, 1, 1, 1) for name in _BY_PATCH}
    images = images * by_patch["contrast"] + by_patch["brightness"]
    low, high = images.amin((1, 2, 3, 4), keepdim=True), images.amax((1, 2, 3, 4), keepdim=True)
    span = (high - low).clamp_min(1e-6)
    images = ((images - low) / span).clamp_min(0.0) ** by_patch["gamma"] * span + low
    small = functional.avg_pool3d(images, 2)
    soft = functional.interpolate(small, size=shape[2:], mode="trilinear", align_corners=False)
    images = torch.lerp(images, soft, by_patch["blur"].expand_as(images))
    many = math.prod(shape[1:])
    at = (drawn.noise_at[:, None] + torch.arange(many, device=images.device)) % len(noise)
    return images + by_patch["noise"] * noise[at].view(shape), labels


_BY_PATCH = ("contrast", "brightness", "gamma", "blur", "noise")


def _patches(padded: Sequence[Case], drawn: Drawn, patch: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut the drawn patches: (patch, channel, x, y, z) and their class indices (patch, 1, x, y, z)."""
    images, labels = [], []
    for case, start in zip(drawn.case.tolist(), drawn.start.tolist(), strict=True):
        box = tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True))
        images.append(padded[case][0][(slice(None), *box)])
        labels.append(padded[case][1][box][None])
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


def _padded(image: np.ndarray, labels: np.ndarray, patch: tuple[int, ...]) -> Case:
    """Return a scan that holds at least one patch: voxels continue its edge, and none of them is annotated."""
    missing = [max(p - n, 0) for p, n in zip(patch, labels.shape, strict=True)]
    width = [(m // 2, m - m // 2) for m in missing]
    return np.pad(image, [(0, 0), *width], mode="edge"), np.pad(labels, width, constant_values=IGNORED)


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
