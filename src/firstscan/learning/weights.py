"""Weights on disk: plain tensors, written whole or not at all, read without running anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from firstscan.domain.errors import UsageError

from .network import Network


def save_weights(network: Network, path: Path) -> None:
    """Write the network's parameters, nothing else, in one atomic step."""
    save_tensors({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


def load_weights(network: Network, path: Path) -> None:
    """Load parameters by name, refusing pickled code.

    Files of :func:`save_weights` fit as a whole. Of other files, such as published SwinViT weights (keys
    ``module.`` or ``swinViT.``), the encoder's parameters are taken; every one of them must be there.

    Raises
    ------
    UsageError : the file is missing, is no weights file, or does not fit.
    """
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"checkpoint {path} does not exist") from error
    except Exception as error:
        raise UsageError(
            f"checkpoint {path} is not a file of plain weights ({type(error).__name__}: {error})"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise UsageError(f"checkpoint {path} holds no table of named weights")
    own = network.state_dict()
    fitting = {k: v for k, v in loaded.items() if k in own and v.shape == own[k].shape}
    if len(fitting) == len(own):
        network.load_state_dict(fitting)
        return
    encoder = _encoder_weights(loaded, own)
    if encoder is None:
        missing = next((k for k in own if k not in fitting), "")
        raise UsageError(
            f"checkpoint {path} does not fit the encoder {type(network.encoder).__name__}: "
            f"{len(fitting)} of {len(own)} parameters match, {missing} does not; "
            "choose the preset that it was trained with"
        )
    network.load_state_dict({**own, **encoder})


def _encoder_weights(loaded: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """Find the encoder's parameters under the prefixes in use, or None unless all are there with their shapes."""
    wanted = {k.removeprefix("encoder.").removeprefix("swin_vit."): k for k in own if k.startswith("encoder.")}
    found: dict[str, torch.Tensor] = {}
    for key, tensor in loaded.items():
        short = key
        for prefix in ("module.", "encoder.", "swinViT.", "swin_vit.", "backbone."):
            short = short.removeprefix(prefix)
        short = short.replace(".mlp.fc1.", ".mlp.linear1.").replace(".mlp.fc2.", ".mlp.linear2.")
        if short in wanted and tensor.shape == own[wanted[short]].shape:
            found[wanted[short]] = tensor
    return found if len(found) == len(wanted) else None


def save_tensors(state: dict[str, Any], path: Path) -> None:
    """Write a file of tensors so that it is either the old one or the new one, whole."""
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
