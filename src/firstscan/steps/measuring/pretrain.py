"""Crops → a network trained on them, resumable at any moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from firstscan._version import __version__
from firstscan.domain.errors import DataError
from firstscan.execution import freed_memory_kept
from firstscan.learning import HistoryRow, Preset, resolve_preset
from firstscan.learning import pretrain as train
from firstscan.steps.running.config import PretrainConfig
from firstscan.steps.running.run import Run
from firstscan.store import atomic_write, dump_json, file_sha256, identity, load_json

from .standardise import CropFiles


@dataclass(frozen=True)
class Learned:
    """A trained network: its ``weights`` file with that file's ``sha256``, and how training went."""

    weights: Path
    sha256: str
    history: tuple[HistoryRow, ...]
    stopped: str
    preset: Preset


def preset_of(config: PretrainConfig, device: str) -> Preset:
    """Return the preset with its number of steps as asked for; ``auto`` is settled by the device."""
    preset = resolve_preset(config.preset, device)
    return preset if config.train_steps is None else replace(preset, steps=config.train_steps)


def pretrain(crops: CropFiles, config: PretrainConfig, run: Run) -> Learned:
    """Train on ``crops``, or take what an equal run has trained; a killed training goes on from its checkpoint.

    Raises
    ------
    UsageError : the checkpoint does not fit.  DataError : the disk is full.
    """
    preset = preset_of(config, run.settings.device)
    start = None if config.first_weights is None else file_sha256(config.first_weights)
    name = identity(__version__, asdict(preset), config.seed, start, len(crops.channels), dict(crops.keys))
    folder = run.workspace.folder("weights", name)
    record = folder / "trained.json"
    done = _finished(record, preset)
    if done is None:
        with run.stage("Learning the pool", preset.steps) as progress, freed_memory_kept():
            shown = 0

            def report(step: int, steps: int, note: str) -> None:
                nonlocal shown
                del steps
                progress.advance(step - shown, note)
                shown = step

            trained = train(
                crops,
                preset,
                channels=len(crops.channels),
                seed=config.seed,
                folder=folder,
                device=run.settings.device,
                devices=run.settings.devices,
                group=run.settings.group,
                init_weights=config.first_weights,
                progress=report,
            )
            if trained.stopped == "plateau":
                run.progress.say(f"Learning ended after {shown} of {preset.steps} steps: the loss falls no more.")
        body = {
            "sha256": file_sha256(trained.weights),
            "stopped": trained.stopped,
            "history": [asdict(row) for row in trained.history],
        }
        atomic_write(record, dump_json(body))
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        done = _finished(record, preset)
    if done is None:
        raise DataError(f"{folder} does not hold what was just written there. Is another program changing it?")
    return done


def _finished(record: Path, preset: Preset) -> Learned | None:
    weights = record.with_name("weights.pt")
    if not record.is_file() or not weights.is_file():
        return None
    body = load_json(record)
    if file_sha256(weights) != body["sha256"]:
        return None
    history = tuple(HistoryRow(**row) for row in body["history"])
    return Learned(weights, body["sha256"], history, body["stopped"], preset)
