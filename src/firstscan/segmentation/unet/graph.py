"""Trainings of ``unet`` on a GPU: one step is captured as a CUDA graph, and replayed with nothing from the host.

A step of a small network is hundreds of short kernels, whose launching takes longer than they run. A graph launches
them at once, and lanes with a stream each fill the GPU together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from .draws import IGNORED, Draws, normal_numbers
from .training import _CLIP, Case, Drawn, augmented, learning_rates, loss_of

_WARM_UP = 3


class Lane:
    """Room on the GPU for one training at a time, used again for the next one.

    Parameters
    ----------
    network : of the kind that is trained here; its own weights do not matter.
    patch : voxels (x, y, z).
    room : how many scans, of what shape (channel-less, padded), and how many steps one training may have.
    layout : how convolutions see memory; which is faster depends on the GPU.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        patch: tuple[int, ...],
        peak: float,
        *,
        room: tuple[int, tuple[int, ...], int],
        batch: int = 2,
        device: str = "cuda",
        layout: torch.memory_format = torch.channels_last_3d,
    ) -> None:
        cases, shape, steps = room
        self._device = torch.device(device)
        self._on_gpu = self._device.type == "cuda"
        self._layout = layout
        self._network = network.to(self._device).to(memory_format=layout).train()  # type: ignore[call-overload]
        self._patch, self._peak, self._batch = patch, peak, batch
        channels = next(network.parameters()).shape[1]
        self._images = torch.zeros((cases, channels, *shape), device=self._device)
        self._labels = torch.full((cases, 1, *shape), IGNORED, dtype=torch.int8, device=self._device)
        self._noise = torch.from_numpy(normal_numbers()).to(self._device)
        self._counter = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._rates = torch.zeros(steps, device=self._device)
        self._loss = torch.zeros((), device=self._device)
        self._drawn = _room_for_draws(steps, batch, self._device)
        self._around = torch.meshgrid(*(torch.arange(p, device=self._device) for p in patch), indexing="ij")
        rate = torch.tensor(peak, device=self._device)
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=rate, weight_decay=1e-4, capturable=self._on_gpu, foreach=self._on_gpu
        )
        self.stream = torch.cuda.Stream(self._device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None

    def begin(self, weights: Mapping[str, torch.Tensor], padded: Sequence[Case], draws: Draws) -> None:
        """Load one training; ``weights`` are the first ones of its seed.  Raises ValueError where there is no room."""
        if not self.fits(padded, draws):
            raise ValueError("the training holds more, larger or longer scans than the lane has room for")
        if self._graph is None:
            self._capture()
        with torch.cuda.stream(self.stream), torch.no_grad():
            for name, value in self._network.state_dict().items():
                value.copy_(weights[name], non_blocking=True)
            for state in self._optimizer.state.values():
                for value in state.values():
                    value.zero_()
            for i, (image, labels) in enumerate(padded):
                x, y, z = labels.shape
                self._images[i, :, :x, :y, :z].copy_(torch.from_numpy(image))
                self._labels[i, 0, :x, :y, :z].copy_(torch.from_numpy(labels.astype(np.int8)))
            for field in fields(Drawn):
                given = torch.from_numpy(getattr(draws, field.name))
                self._drawn[field.name][: len(given)].copy_(given)
            self._rates[: len(draws.case)].copy_(torch.tensor(learning_rates(self._peak, len(draws.case))))
            self._counter.zero_()

    def step(self) -> None:
        """Queue one training step."""
        if self._graph is None:
            self._one()
            return
        with torch.cuda.stream(self.stream):
            self._graph.replay()

    def fits(self, padded: Sequence[Case], draws: Draws) -> bool:
        """Tell whether a training fits into this lane."""
        shape = np.max([labels.shape for _, labels in padded], axis=0)
        room = self._labels.shape
        return len(padded) <= room[0] and bool((shape <= room[2:]).all()) and len(draws.case) <= len(self._rates)

    @property
    def network(self) -> torch.nn.Module:
        """The network as it is after the steps that were queued on :attr:`stream`."""
        network: torch.nn.Module = self._network
        return network

    def weights(self) -> dict[str, torch.Tensor]:
        """Wait for the training, and return its weights on the CPU.  Raises FloatingPointError where it diverged."""
        if self.stream is not None:
            self.stream.synchronize()
        if not bool(torch.isfinite(self._loss)):
            raise FloatingPointError(f"the training loss became {float(self._loss)}")
        return {k: v.detach().cpu() for k, v in self._network.state_dict().items()}

    def _capture(self) -> None:
        """Run the step a few times, so that every buffer is there, then record it; on a processor steps just run."""
        if self.stream is None:
            if not self._optimizer.state:
                self._warm_up()
            return
        self.stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self.stream):
            self._warm_up()
        self.stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self.stream):
            self._one()
        self.stream.synchronize()

    def _warm_up(self) -> None:
        for _ in range(_WARM_UP):
            self._counter.zero_()
            self._one()
        self._counter.zero_()

    def _one(self) -> None:
        now: dict[str, Any] = {n: t.index_select(0, self._counter)[0] for n, t in self._drawn.items()}
        drawn = Drawn(**now)
        images, labels = self._patches(drawn)
        images, labels = augmented(images, labels, drawn, self._noise)
        group = self._optimizer.param_groups[0]
        group["lr"].copy_(self._rates.index_select(0, self._counter)[0])
        self._optimizer.zero_grad(set_to_none=True)
        loss = loss_of(self._network(images.contiguous(memory_format=self._layout)), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _CLIP, foreach=True)
        self._optimizer.step()
        self._loss.copy_(loss.detach())
        self._counter.add_(1)

    def _patches(self, drawn: Drawn) -> tuple[torch.Tensor, torch.Tensor]:
        at = [drawn.start[:, a].view(-1, 1, 1, 1) + self._around[a] for a in range(3)]
        case = drawn.case.view(-1, 1, 1, 1)
        images = self._images[case, :, at[0], at[1], at[2]].permute(0, 4, 1, 2, 3)
        return images, self._labels[case, :, at[0], at[1], at[2]].permute(0, 4, 1, 2, 3)


def _room_for_draws(steps: int, batch: int, device: torch.device) -> dict[str, torch.Tensor]:
    shapes = {"start": (3,), "matrix": (3, 3)}
    whole = {"case", "start", "noise_at"}
    return {
        f.name: torch.zeros(
            (steps, batch, *shapes.get(f.name, ())),
            dtype=torch.int64 if f.name in whole else torch.float32,
            device=device,
        )
        for f in fields(Drawn)
    }
