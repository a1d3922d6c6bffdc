"""Weights of other people on disk: tables of named tensors, read without running anything that is in the file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from firstscan.domain.errors import UsageError

State = dict[str, Tensor]

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_TABLES = ("state_dict", "network_weights", "model_state_dict", "model", "teacher", "student", "net")
"""Where checkpoints keep their weights when they hold more than those."""
_LONGEST_HEADER = 100 << 20


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
    """Return the tensors of a safetensors file: 8 bytes length, a JSON header, and the numbers one after the other."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
                raise ValueError("its header has an impossible length")
            header = json.loads(file.read(length))
            body = bytearray(file.read())
        return {name: _tensor(body, told) for name, told in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, UnicodeDecodeError) as error:
        raise UsageError(f"--checkpoint {path} is not a readable safetensors file: {error}") from error


def _tensor(body: bytearray, told: dict[str, Any]) -> Tensor:
    start, stop = told["data_offsets"]
    kind, shape = _TYPES[told["dtype"]], [int(n) for n in told["shape"]]
    count = 1
    for n in shape:
        count *= n
    if not 0 <= start <= stop <= len(body) or stop - start != count * kind.itemsize:
        raise ValueError("the file is cut short, or its header does not fit its numbers")
    if count == 0:
        return torch.empty(shape, dtype=kind)
    return torch.frombuffer(body, dtype=kind, count=count, offset=start).reshape(shape).clone()
