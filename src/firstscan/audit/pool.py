"""Checks that need the whole pool."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from firstscan.domain.arrays import Float, Int, PerCase
from firstscan.domain.case import Case
from firstscan.domain.finding import Finding
from firstscan.domain.volume import CaseSummary

ROBUST_Z = 6.0
SPACING_FACTOR = 2.0
INTENSITY_FACTOR = 10.0
MODALITY_MAJORITY = 0.8
NEAR_DUPLICATE_SHARE = 0.1


def check_pool(summaries: Iterable[CaseSummary], cases: Iterable[Case]) -> tuple[Finding, ...]:
    """Return every finding that needs the pool but no embedding; ``cases`` give paths and patients."""
    listed = sorted(summaries, key=lambda s: s.case_id)
    by_id = {case.case_id: case for case in cases}
    paths = {case_id: case.path for case_id, case in by_id.items()}
    duplicates = check_duplicates(listed, paths)
    gone = {f.case_id for f in duplicates}
    rest = [s for s in listed if s.case_id not in gone]
    return (
        *duplicates,
        *check_channel_count(rest, paths),
        *check_modality(rest, paths),
        *check_spacing_outliers(rest, paths),
        *check_intensity_outliers(rest, paths),
        *check_patients([by_id[s.case_id] for s in rest if s.case_id in by_id]),
    )


def check_duplicates(summaries: Iterable[CaseSummary], paths: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    """Find byte-identical scans: the first by id stays, every other is dropped and names its twin."""
    first: dict[str, str] = {}
    found = []
    for summary in sorted(summaries, key=lambda s: s.case_id):
        twin = first.setdefault(summary.fingerprint, summary.case_id)
        if twin == summary.case_id:
            continue
        found.append(
            Finding(
                code="duplicate",
                severity="drop",
                case_id=summary.case_id,
                message=f"byte for byte the same scan as {twin}, which stays in the pool",
                remedy="remove one of the two files",
                path=(paths or {}).get(summary.case_id, ""),
            )
        )
    return tuple(found)


def check_channel_count(summaries: Sequence[CaseSummary], paths: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find scans with another number of channels than most: one network cannot read both (drop)."""
    count = Counter(len(s.channel_names) for s in summaries)
    if len(count) < 2:
        return ()
    usual = max(count, key=lambda n: (count[n], n))
    common = [name for name in summaries[0].channel_names if all(name in s.channel_names for s in summaries)]
    asked = " ".join(f'--channel "{name}"' for name in common)
    remedy = f"to take the channels that all scans have: {asked}" if common else "select from each kind of scan apart"
    return tuple(
        Finding(
            code="channel-count",
            severity="drop",
            case_id=s.case_id,
            message=f"{len(s.channel_names)} channel(s) ({', '.join(s.channel_names)}) where most scans have {usual}",
            remedy=remedy,
            path=paths.get(s.case_id, ""),
            measured=float(len(s.channel_names)),
            threshold=float(usual),
        )
        for s in summaries
        if len(s.channel_names) != usual
    )


def check_modality(summaries: Sequence[CaseSummary], paths: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find CT among MR and the reverse, where at least 80 % of the pool is of one kind (warn)."""
    count = Counter(s.modality for s in summaries)
    if len(count) < 2:
        return ()
    usual, n = count.most_common(1)[0]
    if n < MODALITY_MAJORITY * len(summaries):
        return ()
    return tuple(
        Finding(
            code="wrong-modality",
            severity="warn",
            case_id=s.case_id,
            message=f"looks like {s.modality.upper()} in a pool of {usual.upper()}",
            remedy="remove it, or state the modality with --modality if it is recognised wrongly",
            path=paths.get(s.case_id, ""),
            measured=n / len(summaries),
            threshold=MODALITY_MAJORITY,
        )
        for s in summaries
        if s.modality != usual
    )


def check_spacing_outliers(summaries: Sequence[CaseSummary], paths: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find scans whose coarsest voxel edge is far from the pool's: ≥ 2-fold and > 6 robust deviations (warn)."""
    coarsest = np.array([max(s.spacing_mm) for s in summaries], dtype=np.float64)
    return tuple(
        Finding(
            code="spacing-outlier",
            severity="warn",
            case_id=summaries[i].case_id,
            message=f"voxels of {coarsest[i]:.3g} mm where {np.median(coarsest):.3g} mm is usual in this pool",
            remedy="look at this scan: is its spacing right, does it belong here?",
            path=paths.get(summaries[i].case_id, ""),
            measured=float(coarsest[i]),
            threshold=float(np.median(coarsest)) * SPACING_FACTOR,
        )
        for i in _far(coarsest, SPACING_FACTOR)
    )


def check_intensity_outliers(summaries: Sequence[CaseSummary], paths: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find scans whose range of intensities is far from the pool's: ≥ 10-fold and > 6 robust deviations (note).

    A note only: each scan is normalised on its own, so a scale does no harm, but it can tell of another scanner.
    """
    scales = np.array([max(s.intensity_scale, 1e-12) for s in summaries], dtype=np.float64)
    return tuple(
        Finding(
            code="intensity-outlier",
            severity="note",
            case_id=summaries[i].case_id,
            message=f"intensities span {scales[i]:.3g} where {np.median(scales):.3g} is usual in this pool",
            remedy="nothing to do if this scanner stores its images in another scale",
            path=paths.get(summaries[i].case_id, ""),
            measured=float(scales[i]),
            threshold=float(np.median(scales)) * INTENSITY_FACTOR,
        )
        for i in _far(scales, INTENSITY_FACTOR)
    )


def check_patients(cases: Iterable[Case]) -> tuple[Finding, ...]:
    """Find patients with several scans (note on every scan but the first)."""
    by_patient: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        patient = case.metadata.get("patient")
        if patient is not None:
            by_patient[str(patient)].append(case)
    return tuple(
        Finding(
            code="same-patient",
            severity="note",
            case_id=case.case_id,
            message=f"another scan of the patient of {scans[0].case_id} ({len(scans)} scans in all)",
            remedy="use --group-by patient to pick at most one scan of each patient",
            path=case.path,
            measured=float(len(scans)),
            threshold=1.0,
        )
        for scans in by_patient.values()
        for case in scans[1:]
    )


def check_near_duplicates(
    case_ids: Sequence[str], nearest: Int[np.ndarray, " case"], distances: PerCase
) -> tuple[Finding, ...]:
    """Find scans that are nearly alike, as the same scan resampled or denoised (warn on the later id of each pair).

    Nearly: the distance to the nearest neighbour is below 10 % of the pool's median nearest-neighbour distance.

    Parameters
    ----------
    nearest, distances : (case,) row of the other case whose embedding is nearest, and how far (Euclidean) that is.
    """
    if len(case_ids) < 3:
        return ()
    limit = NEAR_DUPLICATE_SHARE * float(np.median(distances))
    found = []
    for i in np.flatnonzero(distances < limit).tolist():
        twin = case_ids[int(nearest[i])]
        if twin < case_ids[i]:
            found.append(
                Finding(
                    code="near-duplicate",
                    severity="warn",
                    case_id=case_ids[i],
                    message=f"nearly the same as {twin}",
                    remedy="look at both: the same scan in two versions should be annotated once",
                    measured=float(distances[i]),
                    threshold=limit,
                )
            )
    return tuple(found)


def _far(values: Float[np.ndarray, " case"], factor: float) -> list[int]:
    """Return rows at least ``factor``-fold from the median and more than 6 robust deviations from it, in logarithms."""
    if len(values) < 5:
        return []
    logs = np.log(values)
    away = np.abs(logs - np.median(logs))
    spread = 1.4826 * float(np.median(away))
    return [int(i) for i in np.flatnonzero((away >= np.log(factor)) & (away > ROBUST_Z * spread))]
