"""Files → headers and volumes in canonical orientation (LPS+), through SimpleITK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from firstscan.audit.header import channel_geometry_problem
from firstscan.domain.arrays import Float, Voxels
from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import ScanError, UsageError
from firstscan.domain.volume import Header, Modality, Volume

from .channels import Inflated, read_channel
from .foreground import foreground
from .modality import modality_of_text, modality_of_voxels
from .orientation import canonical


@dataclass(frozen=True, slots=True)
class RawVolume:
    """A scan as read: canonical orientation, non-finite voxels still in place.

    ``voxels`` (channel, x, y, z) float32, x fastest in memory as in files; ``affine`` (4, 4) voxel index → LPS mm;
    ``headers`` as stored, one a channel.
    """

    voxels: Voxels
    affine: Float[np.ndarray, "4 4"]
    spacing_mm: tuple[float, float, float]
    headers: tuple[Header, ...]
    names: tuple[str, ...]


def read_volume(case: Case, *, modality: Modality | None = None, channels: Sequence[str] | None = None) -> Volume:
    """Read every channel of ``case`` (or those named), turn it to LPS+, and find its foreground.

    Parameters
    ----------
    modality : override; by default the header says, else the intensities.
    channels : names of the channels to read, in that order.

    Raises
    ------
    ScanError : unreadable, truncated, not 3D, too large, or channels that disagree in geometry.
    UsageError : a name in ``channels`` is not a channel of this case.
    """
    return as_volume(case, read_raw(case, channels=channels), modality=modality)


def as_volume(case: Case, raw: RawVolume, *, modality: Modality | None = None) -> Volume:
    """Return ``raw`` with non-finite voxels set to the background level and its foreground found."""
    kind = modality or known_modality(case, raw.headers) or modality_of_voxels(raw.voxels)
    voxels = _finite(raw.voxels)
    return Volume(
        case_id=case.case_id,
        voxels=voxels,
        foreground=foreground(voxels, kind),
        spacing_mm=raw.spacing_mm,
        affine=raw.affine,
        channel_names=raw.names,
        modality=kind,
    )


def known_modality(case: Case, headers: Sequence[Header]) -> Modality | None:
    """Return the modality that headers, metadata or channel names tell, in that order."""
    for header in headers:
        if header.modality_hint is not None:
            return header.modality_hint
    stated = case.metadata.get("modality")
    texts = [stated if isinstance(stated, str) else None, *(c.name for c in case.channels)]
    return next((kind for kind in map(modality_of_text, texts) if kind is not None), None)


def read_raw(case: Case, *, channels: Sequence[str] | None = None) -> RawVolume:
    """Read the channels of ``case`` onto one canonical grid, voxels untouched (see :func:`read_volume`)."""
    chosen = choose_channels(case, channels)
    inflated: Inflated = {}
    first, header = read_channel(chosen[0], inflated)
    headers, placed = [header], canonical(first)
    voxels = np.empty((len(chosen), *placed.voxels.shape[::-1]), dtype=np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is a finding
        voxels[0] = placed.voxels.T
    for i, channel in enumerate(chosen[1:], 1):
        stored, header = read_channel(channel, inflated)
        if problem := channel_geometry_problem(headers[0], header):
            raise geometry_error(case, chosen[0], channel, problem)
        headers.append(header)
        with np.errstate(over="ignore"):
            voxels[i] = canonical(stored, first).voxels.T
    spacing = placed.spacing_mm
    return RawVolume(
        voxels=voxels.transpose(0, 3, 2, 1),
        affine=placed.affine,
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        headers=tuple(headers),
        names=tuple(c.name for c in chosen),
    )


def read_array(path: str | Path) -> tuple[Shaped[np.ndarray, "x y z"], Float[np.ndarray, "4 4"]]:
    """Read one plain 3D file (a label map, a template) in canonical orientation, in the dtype of the file.

    Returns
    -------
    (voxels, affine): voxel index → LPS mm.

    Raises
    ------
    ScanError : unreadable, truncated, not 3D or too large.
    """
    placed = canonical(read_channel(Channel(name="image", path=str(path)), {})[0])
    return np.array(placed.voxels, order="C"), placed.affine


def geometry_error(case: Case, first: Channel, other: Channel, problem: str) -> ScanError:
    """Return the error that says how two channels of a scan differ in geometry."""
    return ScanError(
        "channel-geometry",
        f"{case.case_id}: channels {first.name!r} and {other.name!r} disagree: {problem}",
        "resample the channels of this scan onto one grid, or name the channels to use with --channel",
    )


def choose_channels(case: Case, names: Sequence[str] | None) -> tuple[Channel, ...]:
    """Return the channels of ``case`` that ``names`` lists, in that order; all of them when None or empty.

    Raises
    ------
    UsageError : a name is not a channel of this case.
    """
    if not names:
        return case.channels
    by_name = {c.name: c for c in case.channels}
    missing = [n for n in names if n not in by_name]
    if missing:
        raise UsageError(
            f"{case.case_id} has no channel {', '.join(map(repr, missing))}; it has {', '.join(map(repr, by_name))}"
        )
    return tuple(by_name[n] for n in names)


def _finite(voxels: Voxels) -> Voxels:
    """Replace NaN and infinity by the channel's background: 0 where that lies within its range, else its minimum."""
    if np.isfinite(voxels).all():
        return voxels
    result = voxels.copy(order="K")
    for channel in result:
        good = np.isfinite(channel)
        low = float(channel[good].min()) if good.any() else 0.0
        channel[~good] = 0.0 if low >= 0 else low
    return result
