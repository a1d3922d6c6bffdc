"""The four invented sites of the demo cohort: what each scanner and export does to the same anatomy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contrast:
    """Signal of each tissue, 1 for the brightest; ``texture`` weighs the template's own detail (< 0 inverts it)."""

    name: str
    csf: float
    gm: float
    wm: float
    texture: float


@dataclass(frozen=True, slots=True)
class Site:
    """One site: how it images a head and how it stores the file.

    Parameters
    ----------
    spacing_mm : along x (right to left), y (front to back) and z (feet to head).
    slices_averaged : samples averaged along z for each stored slice; 2 makes thick slices.
    noise : standard deviation of the noise, as a share of the brightest tissue.
    bias : standard deviation of the logarithm of the bias field.
    cut_mm : how far the field of view cuts into the foot end of the head.
    padded : probability that the export pads a case with exact zeros.
    scale : stored intensity of the brightest tissue.
    axes : stored axes as canonical axis numbers; ``flips`` says which stored axes run backwards.
    """

    name: str
    contrast: Contrast
    spacing_mm: tuple[float, float, float]
    slices_averaged: int
    noise: float
    bias: float
    cut_mm: float
    padded: float
    scale: float
    dtype: str
    suffix: str
    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)


SITES: tuple[Site, ...] = (
    Site(
        name="aster",
        contrast=Contrast("T1-like", csf=0.22, gm=0.66, wm=1.0, texture=1.0),
        spacing_mm=(2.2, 2.2, 2.2),
        slices_averaged=1,
        noise=0.025,
        bias=0.08,
        cut_mm=0.0,
        padded=0.2,
        scale=750.0,
        dtype="int16",
        suffix=".nii.gz",
        flips=(True, True, False),
    ),
    Site(
        name="birch",
        contrast=Contrast("T2-like", csf=1.0, gm=0.58, wm=0.36, texture=-0.5),
        spacing_mm=(2.0, 2.0, 4.4),
        slices_averaged=2,
        noise=0.035,
        bias=0.12,
        cut_mm=0.0,
        padded=0.4,
        scale=3600.0,
        dtype="uint16",
        suffix=".nrrd",
    ),
    Site(
        name="cedar",
        contrast=Contrast("faint T1-like", csf=0.55, gm=0.82, wm=1.0, texture=0.6),
        spacing_mm=(2.5, 2.5, 2.5),
        slices_averaged=1,
        noise=0.055,
        bias=0.25,
        cut_mm=0.0,
        padded=0.2,
        scale=1.0,
        dtype="float32",
        suffix=".mha",
    ),
    Site(
        name="dune",
        contrast=Contrast("FLAIR-like", csf=0.12, gm=1.0, wm=0.72, texture=-0.6),
        spacing_mm=(3.0, 2.0, 2.0),
        slices_averaged=1,
        noise=0.04,
        bias=0.15,
        cut_mm=14.0,
        padded=0.4,
        scale=1.2e6,
        dtype="float32",
        suffix=".nii.gz",
        axes=(1, 2, 0),
        flips=(False, True, False),
    ),
)
