"""Pretrained encoders that a user has the weights of: their names, and the input each of them is fed with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .volume import Modality

Scale = Literal["unit", "zscore"]
_NUMBER = r"[-+]?\d+(?:\.\d+)?"


@dataclass(frozen=True, slots=True)
class Window:
    """Intensities from ``low`` to ``high``: in units of the file (HU for CT), or percentiles of the foreground."""

    low: float
    high: float
    percentiles: bool = False

    def __str__(self) -> str:
        unit = "%" if self.percentiles else ""
        return f"{self.low:g}{unit}:{self.high:g}{unit}"


@dataclass(frozen=True, slots=True)
class EncoderInput:
    """How a scan is brought to an encoder.

    ``size`` voxels of one input along x, y, z of the canonical axes (for slices: pixels of the longest side);
    ``spacing_mm`` along x, y, z, or None: such that the patient's box fills one input. ``window`` clips intensities,
    None leaves them. ``scale``: ``unit`` maps the window to 0 … 1, ``zscore`` to mean 0 and standard deviation 1 of the
    foreground. ``axes``: what the axes of the network's input point to, as ``SPL`` (superior, posterior, left).
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None
    window: Window | None
    scale: Scale = "unit"
    axes: str = "LPS"


@dataclass(frozen=True, slots=True)
class EncoderKind:
    """A name for ``--encoder``.

    ``given`` is the input that the publisher trained with (None: the user describes it), ``modality`` what it saw;
    ``notice`` is said whenever it is used; ``package`` has to be installed for it, by the extra ``encoders``.
    """

    name: str
    what: str
    given: EncoderInput | None
    modality: Modality | None = None
    notice: str = ""
    package: str = ""


_CUBE_96 = (96, 96, 96)
_ABDOMEN = Window(-175.0, 250.0)
_TAILS = Window(0.5, 99.5, percentiles=True)
_ONE_MM = (1.0, 1.0, 1.0)

KINDS: dict[str, EncoderKind] = {
    kind.name: kind
    for kind in (
        EncoderKind(
            "ct-fm",
            "SegResNet encoder of CT-FM",
            EncoderInput((128, 128, 48), (1.0, 1.0, 3.0), Window(-1024.0, 2048.0), axes="SPL"),
            "ct",
        ),
        EncoderKind(
            "swinunetr",
            "SwinViT as MONAI publishes it",
            EncoderInput(_CUBE_96, (1.5, 1.5, 2.0), _ABDOMEN, axes="RAS"),
            "ct",
        ),
        EncoderKind(
            "voco",
            "SwinViT of VoCo and VoComni",
            EncoderInput((64, 64, 64), (1.5, 1.5, 1.5), _ABDOMEN, axes="RAS"),
            "ct",
        ),
        EncoderKind(
            "brainsegfounder",
            "SwinViT of BrainSegFounder",
            EncoderInput(_CUBE_96, _ONE_MM, None, "zscore", axes="RAS"),
            "mr",
        ),
        EncoderKind(
            "resenc-l",
            "ResEnc-L as nnssl publishes it (OpenMind)",
            EncoderInput((160, 160, 160), _ONE_MM, None, "zscore", axes="SPL"),
            notice="the authors of these weights do not recommend them for features as they are, without fine-tuning",
            package="dynamic_network_architectures",
        ),
        EncoderKind(
            "dinov2",
            "DINOv2 on slices of three planes",
            EncoderInput((224, 224, 224), None, _TAILS),
            package="timm",
        ),
        EncoderKind(
            "dinov3",
            "DINOv3 on slices of three planes",
            EncoderInput((224, 224, 224), None, _TAILS),
            package="timm",
        ),
        EncoderKind("torchscript", "any TorchScript file", None),
        EncoderKind("onnx", "any ONNX file", None, package="onnxruntime"),
    )
}
"""Every encoder by name; what a scan of another modality looks like to it nobody has looked at."""


def read_size(text: str) -> tuple[int, int, int]:
    """Return (x, y, z) of ``96`` or ``96x96x64``.  Raises ValueError where it is not of that form."""
    parts = [int(part) for part in re.split("[x,]", text) if re.fullmatch(r"\d+", part)]
    if len(parts) == 1:
        parts *= 3
    if len(parts) != 3 or not all(8 <= n <= 1024 for n in parts) or not re.fullmatch(r"\d+(?:[x,]\d+[x,]\d+)?", text):
        raise ValueError("write voxels as N or XxYxZ, each from 8 to 1024, for example 96 or 128x128x64")
    return parts[0], parts[1], parts[2]


def read_spacing(text: str) -> tuple[float, float, float] | None:
    """Return (x, y, z) in mm of ``1.5`` or ``1.5x1.5x2``; None of ``fit``.  Raises ValueError otherwise."""
    if text == "fit":
        return None
    parts = re.split("[x,]", text)
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(0.05 <= n <= 50 for n in numbers):
        raise ValueError("write mm as N or XxYxZ, for example 1.5 or 1x1x3; or fit: the patient fills one input")
    return numbers[0], numbers[1], numbers[2]


def read_window(text: str) -> Window:
    """Return the window of ``-175:250`` (units of the file) or ``0.5%:99.5%``.  Raises ValueError otherwise."""
    found = re.fullmatch(rf"({_NUMBER})(%?):({_NUMBER})(%?)", text)
    if found is None or found[2] != found[4]:
        raise ValueError("write LOW:HIGH, for example -175:250 (HU) or 0.5%:99.5% (percentiles of the patient)")
    window = Window(float(found[1]), float(found[3]), percentiles=bool(found[2]))
    inside = not window.percentiles or (window.low >= 0 and window.high <= 100)
    if not (window.low < window.high and inside):
        raise ValueError(f"the window {text} is empty or leaves 0% … 100%")
    return window


def described(
    kind: EncoderKind, size: str | None = None, spacing: str | None = None, window: str | None = None
) -> EncoderInput:
    """Return the input of an encoder: the publisher's, with what the user says instead.

    Raises
    ------
    ValueError : one of the three is not of its form, or missing where nobody else tells it.
    """
    given = kind.given
    if given is None:
        if size is None or spacing is None or window is None:
            raise ValueError(
                f"the encoder {kind.name} takes {kind.what}, which says nothing of its input; describe it: "
                "--input-size 96 --spacing 1.5 --window -175:250"
            )
        return EncoderInput(read_size(size), read_spacing(spacing), read_window(window))
    return EncoderInput(
        given.size if size is None else read_size(size),
        given.spacing_mm if spacing is None else read_spacing(spacing),
        given.window if window is None else read_window(window),
        given.scale,
        given.axes,
    )
