"""Weights under published names → the parameters of a network, or what does not fit and whose it looks like."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from firstscan.domain.errors import UsageError

from .files import State

_SIGNS: dict[str, str] = {
    "ct-fm": r"(^|\.)(conv_init\.|layers\.\d+\.(blocks|downsample))",
    "swinunetr, voco or brainsegfounder": r"layers[1-4]c?\.0\.(blocks|downsample|layer)|relative_position",
    "dinov2": r"(^|\.)blocks\.\d+\.(\d+\.)?ls1\.|^(cls_token|pos_embed|mask_token|register_tokens)$",
    "dinov3": r"(^|\.)blocks\.\d+\.gamma_1|^(reg_token|storage_tokens|rope)",
    "resenc-l": r"(^|\.)encoder\.(stem\.|stages\.\d+\.blocks)",
}
"""What keys of each encoder look like, once prefixes of training frameworks are off."""
_NAMED = 3


def without_prefixes(state: Mapping[str, Tensor], prefixes: Sequence[str]) -> State:
    """Return the table with ``prefixes`` taken off its names, as often as they occur and in any order."""
    found: State = {}
    for name, tensor in state.items():
        short, before = name, ""
        while short != before:
            before = short
            for prefix in prefixes:
                short = short.removeprefix(prefix)
        found[short] = tensor
    return found


def load(network: nn.Module, state: Mapping[str, Tensor], *, name: str, path: Path, others: Collection[str]) -> None:
    """Give ``network`` its parameters and buffers by name; every one must be there with its shape.

    Names in ``state`` that match a pattern of ``others`` (a decoder, a head of the pretext task) may be left over.

    Raises
    ------
    UsageError : the file is of another architecture; the first missing and unexpected names are told, and the encoder
        whose names they look like.
    """
    own = network.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in own and not any(re.search(other, k) for other in others)]
    if missing or unexpected:
        raise UsageError(misfit(name, path, missing, unexpected, state))
    wrong = [k for k in own if k in state and state[k].shape != own[k].shape]
    if wrong:
        first = wrong[0]
        raise UsageError(
            f"--checkpoint {path} does not fit the encoder {name}: {first} is {_shape(state[first])}, expected "
            f"{_shape(own[first])} ({len(wrong)} such). {likely(state, name)}"
        )
    network.load_state_dict({k: state.get(k, v) for k, v in own.items()})


def misfit(name: str, path: Path, missing: Sequence[str], unexpected: Sequence[str], state: Iterable[str]) -> str:
    """Return the message on a checkpoint whose names are not those of the encoder."""
    return (
        f"--checkpoint {path} does not fit the encoder {name}: missing {_listed(missing)}; "
        f"unexpected {_listed(unexpected)}. {likely(state, name)}"
    )


def likely(state: Iterable[str], name: str) -> str:
    """Return whose checkpoint it looks like, by the share of its names."""
    keys = list(state)
    shares = {kind: sum(bool(re.search(sign, k)) for k in keys) for kind, sign in _SIGNS.items()}
    best = max(shares, key=lambda kind: shares[kind])
    if shares[best] < max(1, len(keys) // 20):
        return "It looks like none of the known encoders: export it as TorchScript or ONNX"
    if name in re.split(", | or ", best):
        return f"It looks like another variant of {best}"
    return f"It looks like {best}: use that as --encoder"


def _listed(keys: Sequence[str]) -> str:
    if not keys:
        return "none"
    more = f", … ({len(keys)} in all)" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"
