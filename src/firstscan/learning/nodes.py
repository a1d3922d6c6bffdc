"""One training shared by processes that a launcher (torchrun) has started on several nodes.

The first process does all of a command's work; the others wait until it begins to train, train along, and end. What
they train on they are told through the group itself, so nothing has to be agreed on beforehand but the command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from firstscan.domain.errors import UsageError

from .presets import resolve_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PATIENCE = timedelta(days=7)
"""How long the others wait for the first process, which may have a hundred thousand scans to read before it trains."""


@runtime_checkable
class Trainable(Protocol):
    """What the first process hands to the others: a training they can run."""

    def run(self, fabric: Fabric, progress: Any) -> Any:
        """Train together with the other processes of ``fabric``."""


@dataclass
class Together:
    """The processes of one training as one of them sees it; ``first``: this is the one that does everything else."""

    fabric: Fabric
    told: bool = False

    @property
    def first(self) -> bool:
        """Tell whether this is the process that does the rest of the command, too."""
        return int(self.fabric.global_rank) == 0

    def lead(self, task: Trainable, progress: Any) -> Any:
        """Train with all processes; return what the training returns."""
        self.told = True
        self.fabric.broadcast(task)
        return task.run(self.fabric, progress)

    def follow(self) -> None:
        """Wait for the first process to begin, and train along; return at once where it has nothing to train."""
        task: Trainable | None = self.fabric.broadcast(cast("Trainable | None", None))
        if task is not None:
            task.run(self.fabric, None)


@contextmanager
def together(devices: int, nodes: int, device: str, precision: str | None = None) -> Iterator[Together | None]:
    """Join the processes that share the training; None where one node does it alone.

    Parameters
    ----------
    devices : processes (GPUs) on each of the ``nodes``.

    Raises
    ------
    UsageError : the command was not started as ``devices`` and ``nodes`` say.
    """
    if nodes == 1:
        yield None
        return
    _check_launch(devices, nodes)
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    kind = resolve_device(device)
    fabric = Fabric(
        accelerator="gpu" if kind == "cuda" else kind,
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy(timeout=_PATIENCE),
        precision=precision or ("bf16-mixed" if kind == "cuda" else "32-true"),  # type: ignore[arg-type]
    )
    fabric.launch()
    group = Together(fabric)
    try:
        yield group
    finally:
        if group.first and not group.told:
            fabric.broadcast(None)  # also after an error, so that nobody waits


def _check_launch(devices: int, nodes: int) -> None:
    found = os.environ.get("WORLD_SIZE")
    if "RANK" not in os.environ or found is None:
        raise UsageError(
            f"--nodes {nodes}: the same command has to be started on every node, by torchrun: "
            f"torchrun --nnodes {nodes} --nproc-per-node {devices} --rdzv-backend c10d --rdzv-endpoint FIRST:29400 "
            "--no-python firstscan pretrain … (FIRST is the first node's name; see docs/cluster.md)"
        )
    if found != str(devices * nodes):
        raise UsageError(
            f"--nodes {nodes} --devices {devices} are {devices * nodes} processes, but torchrun has started {found}; "
            "--nnodes and --nproc-per-node have to say the same."
        )
