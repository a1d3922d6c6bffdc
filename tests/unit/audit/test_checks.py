from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firstscan.audit import channel_geometry_problem, check_constant, check_duplicates, check_finite, check_header
from firstscan.domain.volume import CaseSummary, Header

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
HEADER = Header((20, 20, 20), (1.0, 1.0, 1.0), UPRIGHT, (0.0, 0.0, 0.0), 1, "float")


def summary(case_id, fingerprint="f"):
    return CaseSummary(
        case_id, fingerprint, (2, 2, 2), (1.0, 1.0, 1.0), ("i",), "mr", (2.0, 2.0, 2.0), 8, 0.0, 0.008, 1.0, "nifti"
    )


def test_a_plausible_header_has_no_finding():
    assert check_header("a", HEADER) == ()


@pytest.mark.parametrize(
    ("spacing", "code", "severity"),
    [
        ((0.0, 1.0, 1.0), "spacing-implausible", "drop"),
        ((1.0, float("nan"), 1.0), "spacing-implausible", "drop"),
        ((1.0, 1.0, 80.0), "spacing-implausible", "drop"),
        ((0.05, 1.0, 1.0), "extent-implausible", "drop"),
        ((0.5, 0.5, 12.0), "spacing-unusual", "warn"),
    ],
)
def test_spacing(spacing, code, severity):
    (found,) = check_header("a", replace(HEADER, spacing_mm=spacing))
    assert (found.code, found.severity) == (code, severity)
    assert found.remedy
    assert found.threshold is not None


def test_geometry_of_channels():
    assert channel_geometry_problem(HEADER, replace(HEADER, origin_mm=(0.05, 0.0, 0.0))) == ""
    assert "positions" in channel_geometry_problem(HEADER, replace(HEADER, origin_mm=(5.0, 0.0, 0.0)))
    assert "voxels" in channel_geometry_problem(HEADER, replace(HEADER, shape=(20, 20, 21)))
    assert "spacing" in channel_geometry_problem(HEADER, replace(HEADER, spacing_mm=(1.0, 1.0, 1.1)))
    turned = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert "directions" in channel_geometry_problem(HEADER, replace(HEADER, direction=turned))


def test_voxel_checks():
    voxels = np.zeros((2, 4, 4, 4), np.float32)
    voxels[1, 1, 1, 1] = np.inf
    assert [f.code for f in check_finite("a", voxels, ("x", "y"))] == ["non-finite"]
    assert [f.code for f in check_constant("a", voxels, ("x", "y"))] == ["constant", "constant"]
    voxels[1] = np.nan
    assert "no finite value" in check_constant("a", voxels, ("x", "y"))[1].message


def test_duplicates_keep_the_first_and_name_it():
    found = check_duplicates([summary("b"), summary("a"), summary("c", "other")], {"b": "there"})
    assert [(f.code, f.case_id, f.severity, f.path) for f in found] == [("duplicate", "b", "drop", "there")]
    assert " a," in found[0].message
