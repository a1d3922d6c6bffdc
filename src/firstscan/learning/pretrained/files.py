"""Weights of other people on disk: tables of named tensors, read without running anything that is in the file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from firstscan.domain.errors import UsageError

State = dict[str, Tensor]

_TABLES = ("state_dict", "network_weights", "model_state_dict", "model", "teacher", "student", "net")
"""Where checkpoints keep their weights when they hold more than those."""


def read_state(path: Path) -> State:
    """Return the named tensors of a checkpoint: ``.safetensors``, or a file of ``torch.save`` that holds plain data.

    A table under ``state_dict``, ``network_weights``, ``model`` and the like is taken; what else is there is not.

    Raises
    ------
    UsageError : no such file; a pickle of more than plain data, which is never opened; no table of weights; weights
        that are not finite.
    """
    if not path.is_file():
        raise UsageError(f"--checkpoint {path}: there is no such file")
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _plain(path)
    for key in _TABLES:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    state = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, dict) else {}
    if not state:
        raise UsageError(f"--checkpoint {path} holds no table of named weights")
    check_finite(state, path)
    return state


def check_finite(state: State, path: Path) -> None:
    """Raise UsageError where a weight is NaN or infinite, naming the first one."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UsageError(
                f"--checkpoint {path}: the weights {name} hold NaN or infinity; the file is damaged or its training "
                "diverged. Get it from its publisher again"
            )


def _plain(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UsageError(
            f"--checkpoint {path} is not a file of plain weights: {_in_short(error)}. A pickle may run any program and "
            "is not opened. Ask its publisher for safetensors, or convert it where you trust it "
            "(docs/encoders.md says how)"
        ) from error


def _in_short(error: Exception) -> str:
    """Return what torch found, without its advice to open the file anyway."""
    told = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    first = told.splitlines()[0] if told else type(error).__name__
    return first.partition(". ")[0].partition(" was not an allowed")[0][:200]


def _safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"--checkpoint {path} is not a readable safetensors file: {error}") from error
