"""A pretrained encoder ready to embed scans."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from firstscan.domain.encoding import KINDS, EncoderInput
from firstscan.domain.errors import UsageError
from firstscan.domain.volume import Volume
from firstscan.learning.lanes import Lanes
from firstscan.learning.presets import resolve_device

from .pooling import Machine, cubes_average, slices_moments
from .protocol import Adapter, Source

_GPU_BATCH = 4
_SLICE_BATCH = 4
_AS_MADE = frozenset({"torchscript", "onnx"})


def _segresnet(source: Source) -> Adapter:
    from .segresnet import SegResNet

    return SegResNet(source)


def _swinunetr(source: Source) -> Adapter:
    from .swinunetr import SwinUNETR

    return SwinUNETR(source)


def _resenc(source: Source) -> Adapter:
    from .resenc import ResEncL

    return ResEncL(source)


def _dino(source: Source) -> Adapter:
    from .dino import Dino

    return Dino(source)


def _torchscript(source: Source) -> Adapter:
    from .torchscript import TorchScript

    return TorchScript(source)


def _onnx(source: Source) -> Adapter:
    from .onnx import Onnx

    return Onnx(source)


ADAPTERS: dict[str, Callable[[Source], Adapter]] = {
    "ct-fm": _segresnet,
    "swinunetr": _swinunetr,
    "voco": _swinunetr,
    "brainsegfounder": _swinunetr,
    "resenc-l": _resenc,
    "dinov2": _dino,
    "dinov3": _dino,
    "torchscript": _torchscript,
    "onnx": _onnx,
}


def load_adapter(source: Source) -> Adapter:
    """Return the network of ``source``.

    Raises
    ------
    UsageError : an unknown name, a package that is not installed, or a file that does not serve.
    """
    if source.name not in ADAPTERS:
        raise UsageError(f"unknown encoder {source.name!r}; known: {', '.join(ADAPTERS)}")
    package = KINDS[source.name].package
    if package and find_spec(package) is None:
        raise UsageError(
            f"--encoder {source.name} needs the package {package}, which is not installed here. Install it: "
            'pip install "firstscan[encoders]"'
        )
    return ADAPTERS[source.name](source)


class Embedder:
    """Embeds scans that :func:`firstscan.imaging.encoder_input` has prepared.

    On a CPU every input is computed by one thread, so that bytes depend on neither cores nor neighbours; on a GPU
    inputs go in batches of one shape, and once memory runs out, one by one; networks of ours compute in bfloat16
    there, files that hold a network of their own (TorchScript, ONNX) in the precision that they were made with.

    Raises
    ------
    UsageError : see :func:`load_adapter`; or a file for another number of channels.
    """

    def __init__(
        self, name: str, path: Path, given: EncoderInput, *, channels: tuple[str, ...], device: str = "auto"
    ) -> None:
        kind = resolve_device(device)
        self.device = torch.device(device if ":" in device else kind)
        self.given = given
        adapter = load_adapter(Source(name, path, given, str(self.device)))
        check_channels(adapter.channels, channels, name, path)
        on_cpu = self.device.type == "cpu"
        self.patch: int | None = getattr(adapter, "patch", None)
        usual = _SLICE_BATCH if self.patch is not None else 1 if on_cpu else _GPU_BATCH
        batch = usual if adapter.largest_batch is None else min(usual, adapter.largest_batch)
        half = self.device.type == "cuda" and name not in _AS_MADE
        self._machine = Machine(adapter, self.device, batch, Lanes() if on_cpu else None, half=half)

    def __call__(self, volume: Volume) -> np.ndarray:
        """Return the embedding (dim,) float32 of one prepared scan.

        Raises DataError where it is not finite, UsageError where the network does not take such an input.
        """
        if self.patch is not None:
            return slices_moments(volume, self._machine, self.patch)
        return cubes_average(volume, self._machine, self.given.size, self.given.axes)


def check_channels(wanted: int | None, channels: tuple[str, ...], name: str, path: Path) -> None:
    """Raise UsageError where a file is for another number of channels than the scans have."""
    if wanted is not None and wanted != len(channels):
        remedy = "choose with --channel NAME" if wanted < len(channels) else "use a file that was trained on such scans"
        raise UsageError(
            f"--checkpoint {path} ({name}) takes {wanted} channel(s), and the scans have {len(channels)}: "
            f"{', '.join(channels)}; {remedy}"
        )
