"""One channel of a scan: what its files say of it, and its voxels on its own grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.axes import rounded_axes_allowed
from firstscan.domain.case import Channel
from firstscan.domain.errors import ScanError
from firstscan.domain.silence import silenced
from firstscan.domain.volume import Header

from ._sitk import sitk
from .dicom.reading import read_frames, read_series
from .files import ENDINGS, is_dicom_name, is_nifti, is_other, split_ending
from .formats.axes import refuse_shear, righted
from .formats.integrity import check_complete
from .formats.metaimage import check_metaimage
from .formats.nifti import NiftiVoxels, check_orientation_numbers, nifti_axes_off, nifti_voxels
from .formats.not_nifti import refuse_what_is_none
from .formats.other_formats import other_header, other_voxels
from .modality import modality_of_text
from .orientation import Placed

_IMAGE_IO = {"nifti": "NiftiImageIO", "nrrd": "NrrdImageIO", "metaimage": "MetaImageIO", "dicom": "GDCMImageIO"}
MAX_BYTES = 8 << 30
"""Most bytes of float32 voxels that one channel may ask for; larger headers are refused before memory is taken."""
Inflated = dict[str, NiftiVoxels]
"""A NIfTI file that holds several channels, by its path."""


def read_header(channel: Channel) -> Header:
    """Return what the files of one channel say of themselves, without loading voxels.

    Raises
    ------
    ScanError : the file is missing, empty, or not an image (codes ``missing-file``, ``unreadable``).
    """
    if is_other(channel.path):
        return other_header(Path(channel.path))
    return _header_of(_reader(channel), channel)


def _reader(channel: Channel) -> Any:
    """Return a SimpleITK file reader whose information has been read."""
    path = Path(channel.files[0] if channel.files else channel.path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ScanError(
            "missing-file", f"{path} cannot be opened: {error.strerror}", "restore the file or its read permission"
        ) from error
    if size == 0:
        raise ScanError("unreadable", f"{path} is empty (0 bytes)", "copy or export this scan again")
    kind = ENDINGS.get(split_ending(path.name)[1].lower(), "dicom")
    if kind == "metaimage":
        check_metaimage(path)
    if kind == "nifti":
        check_orientation_numbers(path)
    reader = sitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_IMAGE_IO.get(kind, ""))
    try:
        with silenced():
            reader.ReadImageInformation()
    except RuntimeError as error:
        if kind == "nifti" and (off := nifti_axes_off(path)):
            refuse_shear(off, path)
            with rounded_axes_allowed():
                reader.ReadImageInformation()
            return reader
        if kind == "nifti":
            refuse_what_is_none(path)
        message = f"{path} is not a readable image: {reason_of(error)}"
        raise ScanError("unreadable", message, "copy or export this scan again") from error
    return reader


def _header_of(reader: Any, channel: Channel) -> Header:
    dimension = int(reader.GetDimension())
    size = tuple(int(n) for n in reader.GetSize())
    vector = int(reader.GetNumberOfComponents())
    volumes = math.prod(size[3:]) if dimension > 3 else 1
    spacing = tuple(float(s) for s in reader.GetSpacing())
    direction = np.array(reader.GetDirection()).reshape(dimension, dimension)
    hint = modality_of_text(reader.GetMetaData("0008|0060")) if reader.HasMetaDataKey("0008|0060") else None
    shape, spacing = size[:3], spacing[:3]
    if channel.files:
        shape = (*shape[:2], len(channel.files))
    header = Header(
        shape=shape,
        spacing_mm=spacing,
        direction=tuple(float(d) for d in direction[:3, :3].ravel()),
        origin_mm=tuple(float(o) for o in reader.GetOrigin()[:3]),
        components=volumes * vector,
        dtype=str(sitk().GetPixelIDValueAsString(reader.GetPixelID())),
        modality_hint=hint,
    )
    stated = nifti_axes_off(Path(channel.path)) if not channel.files and is_nifti(channel.path) else None
    return righted(header, channel.path, stated)


def read_channel(channel: Channel, inflated: Inflated) -> tuple[Placed, Header]:
    """Return one channel on its own grid and its header as stored; ``inflated`` keeps NIfTI files that hold several."""
    if is_other(channel.path):
        header = other_header(Path(channel.path))
        check_readable(header, channel)
        return _on_grid_of(header, other_voxels(Path(channel.path), channel.component or 0)), header
    reader = _reader(channel)
    header = _header_of(reader, channel)
    check_readable(header, channel)
    if not channel.files and is_nifti(channel.path):
        if channel.path not in inflated:
            inflated.clear()
            inflated[channel.path] = nifti_voxels(Path(channel.path), header)
        return _on_grid_of(header, inflated[channel.path].volume(channel.component or 0)), header
    if not channel.files:
        check_complete(Path(channel.path), header)
    try:
        if channel.files or is_dicom_name(channel.path):
            with silenced():
                image = read_series(channel.files) if channel.files else read_frames(Path(channel.path))
            header = righted(_as_stored(image, header), channel.path)
            return _on_grid_of(header, sitk().GetArrayFromImage(image).T), header
        if reader.GetDimension() > 3:
            index = channel.component or 0
            size = list(reader.GetSize())
            reader.SetExtractSize([*size[:3], *([0] * (len(size) - 3))])
            reader.SetExtractIndex([0, 0, 0, *_unravel(index, size[3:])])
        with silenced():
            image = reader.Execute()
    except RuntimeError as error:
        raise _voxel_error(channel.path, error) from error
    if image.GetNumberOfComponentsPerPixel() > 1:
        image = sitk().VectorIndexSelectionCast(image, channel.component or 0)
    return _on_grid_of(header, sitk().GetArrayFromImage(image).T), header


def _as_stored(image: Any, header: Header) -> Header:
    """Return ``header`` with the geometry of the whole series instead of its first slice."""
    return replace(
        header,
        shape=tuple(image.GetSize()),
        spacing_mm=tuple(image.GetSpacing()),
        direction=tuple(image.GetDirection()),
        origin_mm=tuple(image.GetOrigin()),
    )


def check_readable(header: Header, channel: Channel) -> None:
    """Refuse what is not one 3D volume, or claims more voxels than memory should be taken for.

    Raises
    ------
    ScanError : codes ``not-3d`` and ``too-large``.
    """
    if len(header.shape) < 3 or 1 in header.shape:
        raise ScanError(
            "not-3d",
            f"{channel.path} is a 2D image of {' × '.join(map(str, header.shape))} voxels; a 3D scan is expected",
            "leave it out, or store the slices of this scan as one 3D file",
        )
    if header.components > 1 and channel.component is None:
        raise ScanError(
            "not-3d",
            f"{channel.path} holds {header.components} volumes (a 4D or colour image); one 3D scan is expected",
            "split it into 3D files; if its volumes are channels of one scan, read the folder with --layout msd",
        )
    if channel.component is not None and channel.component >= header.components:
        raise ScanError(
            "missing-channel",
            f"{channel.path} holds {header.components} volumes; channel {channel.name!r} would be number "
            f"{channel.component + 1}",
            "complete the file, or name the channels to use with --channel",
        )
    wanted = 4 * math.prod(header.shape)
    if wanted > MAX_BYTES:
        raise ScanError(
            "too-large",
            f"{channel.path} claims {' × '.join(map(str, header.shape))} voxels, {wanted / 2**30:.0f} GiB in memory; "
            f"the limit is {MAX_BYTES / 2**30:.0f} GiB a channel",
            "check the header of this file; crop or downsample a scan that really is this large",
        )


def reason_of(error: BaseException) -> str:
    """Return the last sentence of a SimpleITK message, without its source lines and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    for marker in ("ERROR: ", "Error: ", "error: "):
        text = text.rsplit(marker, 1)[-1]
    return text.split("): ", 1)[-1][:200]


def _voxel_error(path: str, error: RuntimeError) -> ScanError:
    if "Refusing to change spacing" in str(error):
        message, remedy = f"{path} states a voxel size of 0", "correct the voxel spacing in the file's header"
        return ScanError("spacing-implausible", message, remedy)
    return ScanError(
        "truncated",
        f"{path}: the header is readable but the voxels are not ({reason_of(error)}); the file is cut short or damaged",
        "copy or export this scan again",
    )


def _on_grid_of(header: Header, voxels: Shaped[np.ndarray, "x y z"]) -> Placed:
    return Placed(
        voxels, np.array(header.spacing_mm), np.array(header.direction).reshape(3, 3), np.array(header.origin_mm)
    )


def _unravel(index: int, sizes: Sequence[int]) -> list[int]:
    out = []
    for size in sizes:
        out.append(index % size)
        index //= size
    return out
