"""One reading of a case: its summary and everything the audit says of it."""

from __future__ import annotations

from collections.abc import Sequence

from firstscan.audit import check_constant, check_finite, check_header
from firstscan.domain.case import Case
from firstscan.domain.errors import ScanError
from firstscan.domain.finding import Finding, dropped_ids
from firstscan.domain.volume import CaseSummary, Modality

from .files import file_type, fingerprint
from .reading import as_volume, read_raw
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
        message = f"{error.filename or case.path} cannot be opened: {error.strerror}"
        return None, (_dropped(case, "missing-file", message, "restore the file or its read permission"),)
    found = [f for header in raw.headers for f in check_header(case.case_id, header, case.path)]
    found += check_finite(case.case_id, raw.voxels, raw.names, case.path)
    found += check_constant(case.case_id, raw.voxels, raw.names, case.path)
    findings = tuple(dict.fromkeys(found))
    if dropped_ids(findings):
        return None, findings
    volume = as_volume(case, raw, modality=modality)
    return summarise(volume, fingerprint=identity, file_type=file_type(case)), findings


def _dropped(case: Case, code: str, message: str, remedy: str) -> Finding:
    return Finding(code=code, severity="drop", case_id=case.case_id, message=message, remedy=remedy, path=case.path)
