"""One reading of a case: its summary and everything the audit says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from firstscan.audit import (
    channel_geometry_problem,
    check_constant,
    check_finite,
    check_header,
    check_orientation,
    check_quality,
    check_voxel_sizes,
)
from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import ScanError
from firstscan.domain.finding import Finding, dropped_ids
from firstscan.domain.volume import CaseSummary, Header, Modality

from .channels import check_readable, read_header
from .files import file_type, fingerprint, is_nifti, is_other
from .formats.axes import righted
from .formats.nifti import nifti_header, nifti_orientations
from .formats.other_formats import other_orientations
from .reading import as_volume, choose_channels, geometry_error, read_raw
from .standardise import summarise


def inspect(
    case: Case, *, modality: Modality | None = None, channels: Sequence[str] | None = None
) -> tuple[CaseSummary | None, tuple[Finding, ...]]:
    """Read one case and return (summary, findings); the summary is None if a finding drops the case.

    Bad data never raises: what cannot be read becomes a finding of severity ``drop``.
    """
    try:
        identity = fingerprint(case)
        raw = read_raw(case, channels=channels)
    except ScanError as error:
        return None, (_dropped(case, error.code, str(error), error.remedy),)
    except OSError as error:
        return None, (_unopened(case, error),)
    found = _header_findings(case, raw.headers)
    found += check_finite(case.case_id, raw.voxels, raw.names, case.path)
    found += check_constant(case.case_id, raw.voxels, raw.names, case.path)
    if dropped_ids(found):
        return None, tuple(dict.fromkeys(found))
    with np.errstate(over="ignore", invalid="ignore"):
        volume = as_volume(case, raw, modality=modality)
        found += check_quality(volume, case.path)
        summary = summarise(volume, fingerprint=identity, file_type=file_type(case), header=raw.headers[0])
    return summary, tuple(dict.fromkeys(found))


def inspect_header(case: Case, *, channels: Sequence[str] | None = None) -> tuple[Finding, ...]:
    """Return what the headers of one case alone give away: unreadable, not 3D, spacing, geometry, orientation.

    Bad data never raises; no voxel is read.
    """
    try:
        chosen = choose_channels(case, channels)
        headers: list[Header] = []
        for channel in chosen:
            header = _quick_header(channel)
            check_readable(header, channel)
            if headers and (problem := channel_geometry_problem(headers[0], header)):
                raise geometry_error(case, chosen[0], channel, problem)
            headers.append(header)
    except ScanError as error:
        return (_dropped(case, error.code, str(error), error.remedy),)
    except OSError as error:
        return (_unopened(case, error),)
    return tuple(dict.fromkeys(_header_findings(case, headers)))


def _quick_header(channel: Channel) -> Header:
    """Return the header of a channel, by the fast way where the file is a sound NIfTI."""
    path = Path(channel.path)
    quick = nifti_header(path) if not channel.files and is_nifti(channel.path) and path.is_file() else None
    return read_header(channel) if quick is None else righted(quick, channel.path)


def _header_findings(case: Case, headers: Sequence[Header]) -> list[Finding]:
    found: list[Finding] = []
    for header in headers:
        found += check_header(case.case_id, header, case.path)
    if (is_nifti(case.path) or is_other(case.path)) and headers:
        extent_mm = max(n * s for n, s in zip(headers[0].shape, headers[0].spacing_mm, strict=True))
        orientations = nifti_orientations if is_nifti(case.path) else other_orientations
        qform, sform = orientations(Path(case.path))
        found += check_orientation(case.case_id, qform, sform, float(extent_mm), case.path)
        if qform is None and sform is not None:
            found += check_voxel_sizes(case.case_id, headers[0].spacing_mm, sform, case.path)
    return found


def _unopened(case: Case, error: OSError) -> Finding:
    message = f"{error.filename or case.path} cannot be opened: {error.strerror or error}"
    return _dropped(case, "missing-file", message, "restore the file or its read permission")


def _dropped(case: Case, code: str, message: str, remedy: str) -> Finding:
    return Finding(code=code, severity="drop", case_id=case.case_id, message=message, remedy=remedy, path=case.path)
