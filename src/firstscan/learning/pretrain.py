"""Self-supervised pretraining on the pool itself, resumable to the same bytes.

Every step's input is a function of (seed, step), so a checkpoint needs no random state; the learning rate is a
function of the step. Training runs on Lightning Fabric: CPU, one GPU or several.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import torch

from firstscan.domain.errors import UsageError

from .batches import Batch, CropSource, make_batch
from .gpu import OTHERWISE, InParts, repeatable, too_small
from .network import Network, packed_weights
from .nodes import Together
from .objective import Losses, pretext_losses
from .presets import Preset, resolve_device
from .weights import load_weights, save_tensors, save_weights

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOGGER = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """Losses of one optimiser step; ``learning_rate`` as applied."""

    step: int
    loss: float
    rotation: float
    inpainting: float
    consistency: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Trained:
    """What pretraining leaves: the weights file, one row a step, and why it ended (``steps`` or ``plateau``)."""

    weights: Path
    history: tuple[HistoryRow, ...]
    stopped: str


def pretrain(
    crops: CropSource,
    preset: Preset,
    *,
    channels: int,
    seed: int,
    folder: Path,
    device: str = "auto",
    devices: int = 1,
    group: Together | None = None,
    precision: str | None = None,
    init_weights: Path | None = None,
    checkpoint_every: int = 50,
    progress: Progress | None = None,
) -> Trained:
    """Train the network of ``preset`` on ``crops``; pick up where an interrupted run in ``folder`` stopped.

    Parameters
    ----------
    channels : image channels of every crop.
    folder : holds ``checkpoint.pt`` while training and ``weights.pt`` when done.
    devices : GPUs (or CPU processes) that share each step's cases; results agree up to the order of sums.
    group : processes on other nodes, ``devices`` on each, that train along (:func:`firstscan.learning.together`).
    precision : as Fabric names it; None: ``bf16-mixed`` on a GPU, ``32-true`` elsewhere.
    init_weights : start from these weights (a file of :func:`save_weights`, or published SwinViT weights).
    progress : called as (step, steps, description) after every step.

    Raises
    ------
    UsageError : no crops, an unknown device, more devices than cases in a step, or weights that do not fit.
    """
    from lightning_fabric import Fabric  # seconds to import: a pool that is trained already need not wait

    if len(crops) == 0:
        raise UsageError("there is no scan to pretrain on")
    sharing = devices if group is None else group.fabric.world_size
    if not 1 <= sharing <= preset.batch_size:
        raise UsageError(f"devices must be 1 to {preset.batch_size}, the cases of one training step; found {sharing}")
    folder.mkdir(parents=True, exist_ok=True)
    kind = resolve_device(device)
    fabric = Fabric(  # of this node alone
        accelerator="gpu" if kind == "cuda" else kind,
        devices=devices,
        strategy="auto" if devices == 1 else "ddp_spawn",
        precision=precision or ("bf16-mixed" if kind == "cuda" else "32-true"),  # type: ignore[arg-type]
    )
    task = Task(crops, preset, channels, seed, folder.absolute(), init_weights, checkpoint_every)
    if group is not None:
        rows = group.lead(task, progress)
    elif devices == 1:
        rows = task.run(fabric, progress)
    else:
        with told(progress) as tell:
            rows = fabric.launch(task.run, tell)  # type: ignore[arg-type]
    history = tuple(HistoryRow(*row) for row in rows)
    return Trained(folder / "weights.pt", history, "steps" if len(history) == preset.steps else "plateau")


@dataclass(frozen=True)
class Task:
    """One training, as every process that shares in it sees it; see :func:`pretrain` for the fields."""

    crops: CropSource
    preset: Preset
    channels: int
    seed: int
    folder: Path
    init_weights: Path | None
    checkpoint_every: int

    def run(self, fabric: Fabric, progress: Progress | None) -> list[tuple[Any, ...]]:
        """Train in this process, alone or with the others that ``fabric`` started; return the history's rows.

        Rows are plain tuples because Fabric cannot carry frozen data from one process to another.
        """
        preset = self.preset
        torch.manual_seed(self.seed)
        network = packed_weights(Network(preset.encoder, self.channels))
        if self.init_weights is not None:
            load_weights(network, self.init_weights)
        optimiser = torch.optim.AdamW(network.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay)
        wrapped, optimiser = fabric.setup(network, optimiser)
        model = InParts(wrapped)
        history = _resume(self.folder, network, optimiser, fabric)
        done = len(history) == preset.steps or plateaued(history, preset)
        for step, batch in () if done else _prefetched(self.crops, preset, self.seed, len(history), fabric):
            history.append(_train_step(fabric, model, optimiser, batch=batch, preset=preset, step=step))
            done = step + 1 == preset.steps or plateaued(history, preset)
            if progress is not None and fabric.global_rank == 0:
                progress(step + 1, preset.steps, f"loss {history[-1].loss:.3f}")
            if done or (step + 1) % self.checkpoint_every == 0:
                _save_checkpoint(self.folder, network, optimiser, history, fabric)
            if done:
                break
        if fabric.global_rank == 0:
            save_weights(network, self.folder / "weights.pt")
        fabric.barrier()
        return [astuple(row) for row in history]


class Telling:
    """A progress callable that crosses process borders: what it is called with goes through a queue."""

    def __init__(self, queue: Any) -> None:
        self.queue = queue

    def __call__(self, step: int, steps: int, note: str) -> None:
        """Pass one report on."""
        self.queue.put((step, steps, note))


@contextmanager
def told(progress: Progress | None) -> Iterator[Telling | None]:
    """Give other processes something to report to, and hand their reports to ``progress`` here."""
    if progress is None:
        yield None
        return
    queue = torch.multiprocessing.get_context("spawn").SimpleQueue()

    def pass_on() -> None:
        while (report := queue.get()) is not None:
            progress(*report)

    listener = Thread(target=pass_on, daemon=True)
    listener.start()
    try:
        yield Telling(queue)
    finally:
        queue.put(None)
        listener.join()
        queue.close()


def learning_rate(step: int, preset: Preset) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the peak."""
    warmup = max(1, round(preset.warmup * preset.steps))
    if step < warmup:
        return preset.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, preset.steps - warmup)
    return preset.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def plateaued(history: list[HistoryRow], preset: Preset) -> bool:
    """Tell whether the last two stretches of ``patience`` show no improvement worth having."""
    stretch = max(1, round(preset.patience * preset.steps))
    if len(history) < 2 * stretch or len(history) % stretch:
        return False
    earlier = sum(row.loss for row in history[-2 * stretch : -stretch])
    latest = sum(row.loss for row in history[-stretch:])
    return latest > earlier * (1 - preset.plateau)


def _train_step(
    fabric: Fabric, model: InParts, optimiser: torch.optim.Optimizer, *, batch: Batch, preset: Preset, step: int
) -> HistoryRow:
    rate = learning_rate(step, preset)
    for group in optimiser.param_groups:
        group["lr"] = rate
    losses = None
    while losses is None:
        try:
            with repeatable():
                losses = _learnt(fabric, model, optimiser, batch)
        except torch.OutOfMemoryError as error:
            if model.parts > 1 or fabric.world_size > 1:
                raise UsageError(too_small("train the network", OTHERWISE)) from error
            views = 2 * len(batch.target)
            LOGGER.warning("the GPU's memory is too small for the %d views of a step: going on with half", views)
            model.parts = 2
    fabric.clip_gradients(model.model, optimiser, max_norm=preset.gradient_clip, error_if_nonfinite=True)
    optimiser.step()
    terms = torch.stack([losses.total, losses.rotation, losses.inpainting, losses.consistency]).detach()
    total, rotation, inpainting, consistency = fabric.all_reduce(terms, reduce_op="mean").tolist()  # type: ignore[union-attr]
    return HistoryRow(step, total, rotation, inpainting, consistency, rate)


def _learnt(fabric: Fabric, model: InParts, optimiser: torch.optim.Optimizer, batch: Batch) -> Losses:
    """Leave the gradients of one step, and return its losses."""
    logits, outputs = model(batch.seen())
    losses = pretext_losses(
        logits=logits.chunk(2)[0].float(),
        turns=batch.turns(),
        reconstructions=batch.restored(outputs.float()),
        target=batch.target,
        foreground=batch.foreground,
        hidden=batch.hidden,
    )
    optimiser.zero_grad()
    fabric.backward(losses.total)
    return losses


def _prefetched(
    crops: CropSource, preset: Preset, seed: int, first: int, fabric: Fabric
) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) on the device while a thread prepares the next batch."""

    def prepare(step: int) -> Batch:
        batch = make_batch(crops, preset, seed=seed, step=step, rank=fabric.global_rank, ranks=fabric.world_size)
        return batch.to(fabric.device)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(prepare, first)
        for step in range(first, preset.steps):
            batch = ahead.result()
            if step + 1 < preset.steps:
                ahead = pool.submit(prepare, step + 1)
            yield step, batch


def _resume(folder: Path, network: Network, optimiser: torch.optim.Optimizer, fabric: Fabric) -> list[HistoryRow]:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return []
    state = torch.load(path, map_location=fabric.device, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return [HistoryRow(**row) for row in state["history"]]


def _save_checkpoint(
    folder: Path, network: Network, optimiser: torch.optim.Optimizer, history: list[HistoryRow], fabric: Fabric
) -> None:
    if fabric.global_rank == 0:
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "history": [asdict(row) for row in history],
        }
        save_tensors(state, folder / "checkpoint.pt")
