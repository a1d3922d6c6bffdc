from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from firstscan.audit import apply_policy, check_near_duplicates, check_orientation, check_pool, check_series
from firstscan.audit.stack import Stack
from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.volume import CaseSummary


def summary(number, **changes):
    plain = CaseSummary(
        case_id=f"c{number:02d}",
        fingerprint=str(number),
        shape=(20, 20, 20),
        spacing_mm=(1.0, 1.0, 1.0 + 0.01 * number),
        channel_names=("i",),
        modality="mr",
        extent_mm=(20.0, 20.0, 20.0),
        voxel_count=8000,
        air_share=0.1,
        foreground_ml=7.2,
        intensity_scale=100.0 + number,
        file_type="nifti",
    )
    return replace(plain, **changes)


def cases(count, patient=None):
    known = MappingProxyType({} if patient is None else {"patient": patient})
    return [Case(f"c{i:02d}", (Channel("i", f"c{i:02d}.nii"),), known) for i in range(count)]


def found(summaries, listed=()):
    return [(f.code, f.severity, f.case_id) for f in check_pool(summaries, listed)]


def test_an_even_pool_has_no_finding():
    assert found([summary(i) for i in range(10)], cases(10)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"fingerprint": "0"}, ("duplicate", "drop")),
        ({"spacing_mm": (1.0, 1.0, 6.0)}, ("spacing-outlier", "warn")),
        ({"intensity_scale": 1.7e6}, ("intensity-outlier", "note")),
        ({"modality": "ct"}, ("wrong-modality", "warn")),
        ({"channel_names": ("a", "b")}, ("channel-count", "drop")),
    ],
)
def test_one_odd_scan_is_found(change, expected):
    summaries = [summary(i) for i in range(10)]
    summaries[7] = replace(summaries[7], **change)
    assert found(summaries, cases(10)) == [(*expected, "c07")]


def test_several_scans_of_one_patient_are_noted():
    assert found([summary(i) for i in range(3)], cases(3, "p")) == [
        ("same-patient", "note", "c01"),
        ("same-patient", "note", "c02"),
    ]


def test_near_duplicates_by_embedding():
    points = np.random.default_rng(0).normal(size=(30, 8))
    points[20] = points[3] + 1e-3
    ids = [f"c{i:02d}" for i in range(30)]
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag([np.inf] * 30)
    (finding,) = check_near_duplicates(ids, distances.argmin(axis=1), distances.min(axis=1))
    assert (finding.case_id, finding.severity) == ("c20", "warn")
    assert "c03" in finding.message
    assert check_near_duplicates(ids[:2], np.array([1, 0]), np.zeros(2)) == ()


def test_orientation():
    plain = np.diag([1.0, 1.0, 1.0, 1.0])
    assert [f.code for f in check_orientation("a", None, None, 100.0)] == ["orientation-missing"]
    assert check_orientation("a", plain, None, 100.0) == ()
    assert check_orientation("a", plain, plain, 100.0) == ()
    mirrored = np.diag([-1.0, 1.0, 1.0, 1.0])
    (finding,) = check_orientation("a", plain, mirrored, 100.0)
    assert finding.code == "orientation-conflict"
    assert finding.measured == pytest.approx(200)


def stack(along):
    """Slices at these places along the normal, one above the other."""
    places = np.zeros((len(along), 3))
    places[:, 2] = along
    return Stack(places, np.array([1.0, 0, 0, 0, 1.0, 0]), (1.0, 1.0))


def test_series_without_faults():
    upright = np.tile([1.0, 0, 0, 0, 1.0, 0], (5, 1))
    assert check_series("a", stack=stack(np.arange(5.0)), orientations=upright, description="T1 local fat") == ()
    (finding,) = check_series("a", stack=stack(np.array([0.0, 1, 2, 5, 6])), orientations=upright)
    assert (finding.code, finding.measured) == ("missing-slices", 3.0)


def finding(code, severity):
    return Finding(code, severity, "a", "m", "r")


def test_strictness_and_overrides():
    given = [finding("truncated", "drop"), finding("noisy", "warn"), finding("cut-off", "note")]
    assert apply_policy(given) == tuple(given)
    assert [f.severity for f in apply_policy(given, "strict")] == ["drop", "drop", "note"]
    assert [f.code for f in apply_policy(given, "off")] == ["truncated"]
    changed = apply_policy(given, "strict", {"noisy": "note", "cut-off": "off"})
    assert [(f.code, f.severity) for f in changed] == [("truncated", "drop"), ("noisy", "note")]
    with pytest.raises(UsageError, match="unknown audit"):
        apply_policy(given, "harsh")
    with pytest.raises(UsageError, match="unknown severity 'kill'"):
        apply_policy(given, "normal", {"noisy": "kill"})


def test_an_unknown_code_is_refused():
    with pytest.raises(UsageError, match="no finding has the code 'duplicates'; do you mean 'duplicate'"):
        apply_policy((), "normal", {"duplicates": "warn"})
