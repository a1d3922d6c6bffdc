from __future__ import annotations

import time

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.slices import ScanGeometry, ignore_value, outside_ignored
from firstscan.selection.slices.planning import (
    located,
    minutes_of,
    most_slices,
    plan_slices,
    scans_for,
    share_slices,
    slice_counts,
    unplannable,
)
from firstscan.selection.slices.settings import Slicing, read_plane, read_range

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def scan(name="a", shape=(64, 64, 24), spacing=(1.0, 1.0, 5.0), box=None, direction=UPRIGHT, origin=(0.0, 0.0, 0.0)):
    box = box or tuple((0, n - 1) for n in shape)
    return ScanGeometry(name, shape, spacing, direction, origin, box)


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [
        ((1.0, 1.0, 5.0), "axial"),
        ((1.0, 4.0, 1.0), "coronal"),
        ((4.0, 1.0, 1.0), "sagittal"),
        ((1.0, 1.0, 1.0), "axial"),
        ((1.05, 1.0, 1.0), "axial"),
        ((0.5, 3.0, 3.0), "axial"),
        ((3.0, 3.0, 0.5), "coronal"),
    ],
)
def test_slices_are_those_that_the_scan_was_acquired_in(spacing, plane):
    [case] = plan_slices([scan(spacing=spacing)], Slicing())
    assert case.plane == plane
    [asked] = plan_slices([scan(spacing=spacing)], Slicing(plane="sagittal"))
    assert (asked.plane, asked.axis) == ("sagittal", 0)


def test_slices_count_from_the_head_and_lie_where_3d_slicer_shows_them():
    [case] = plan_slices([scan(origin=(10.0, 20.0, -30.0), box=((0, 63), (0, 63), (2, 21)))], Slicing(every=4))
    assert case.indices == (5, 9, 13, 17, 21)
    assert case.positions_mm == (-5.0, 15.0, 35.0, 55.0, 75.0)
    assert case.numbers == (6, 10, 14, 18, 22)
    assert case.reason == "every 4th of the 20 axial slices that show the patient, from the 1st counted from the head"
    [front] = plan_slices([scan(spacing=(1.0, 1.0, 1.0), origin=(10.0, 20.0, 0.0))], Slicing(every=32, plane="coronal"))
    assert front.indices == (0, 32)
    assert front.positions_mm == (-20.0, -52.0), "RAS: 20 mm to the back is −20"


def test_a_tilted_scan_is_planned_along_its_own_slices_and_said_to_be_tilted():
    c, s = float(np.cos(0.4)), float(np.sin(0.4))
    [case] = plan_slices([scan(direction=(1.0, 0.0, 0.0, 0.0, c, -s, 0.0, s, c))], Slicing())
    assert (case.plane, case.axis) == ("axial", 2)
    assert case.reason.endswith("; the scan is tilted 23° to the axial plane")


def test_a_range_counts_from_the_top_of_the_scan_in_mm_or_percent():
    [mm] = plan_slices([scan()], Slicing(every=1, within=read_range("20:50")))
    assert mm.indices == (14, 15, 16, 17, 18, 19), "24 slices of 5 mm; from slice 4 to slice 9 from the top"
    [share] = plan_slices([scan()], Slicing(every=1, within=read_range("25%:50%")))
    assert share.indices == (12, 13, 14, 15, 16, 17)
    assert "in the range" in share.reason


@pytest.mark.parametrize("text", ["50:20", "a:b", "10", "10%:20mm", "10%:120%", "-5:20", "20:20"])
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match=r"--range .*:"):
        read_range(text)


def test_wrong_settings_name_the_option():
    with pytest.raises(UsageError, match="--slice-axis oblique: choose axial, coronal or sagittal"):
        read_plane("oblique")
    with pytest.raises(UsageError, match="--every 0"):
        Slicing(every=0)
    with pytest.raises(UsageError, match="--least 0"):
        Slicing(least=0)


def test_a_range_outside_of_a_scan_names_the_scan_and_how_long_it_is():
    slicing = Slicing(within=(300.0, 400.0, "mm"))
    with pytest.raises(UsageError, match=r"a: 0 slice\(s\) .* 300 to 400 mm .* 120 mm long in 24 slices"):
        plan_slices([scan()], slicing)
    assert list(unplannable(["a", "b"], [scan(), scan("b", shape=(64, 64, 99))], slicing)) == ["a"]


def test_a_scan_with_fewer_slices_than_the_least_is_named():
    short = scan("short", box=((0, 63), (0, 63), (3, 5)))
    with pytest.raises(UsageError, match="short: the patient is in 3 of its slices, fewer than --least 4"):
        plan_slices([scan(), short], Slicing(least=4))
    assert slice_counts([scan(), short], Slicing(least=4)).tolist() == [6.0, 0.0]
    assert most_slices([scan(), short], Slicing(every=5, least=4)).tolist() == [5, 0]


def test_at_least_so_many_slices_of_a_small_scan():
    small = scan(box=((0, 63), (0, 63), (3, 10)))
    for rank in range(1, 9):
        assert len(plan_slices([small], Slicing(every=8, least=3), ranks=[rank]).cases[0]) >= 3


@pytest.mark.parametrize("every", [1, 2, 4, 8])
def test_a_budget_in_slices_is_spread_over_as_many_scans_as_every_asks_for_and_used_up(every):
    scans = [scan(f"c{i:02d}") for i in range(60)]
    count = scans_for(48, scans, Slicing(every=every))
    assert count == 2 * every
    plan = share_slices(scans[:count], 48, Slicing(every=every))
    assert (len(plan), plan.every) == (48, every)


def test_more_slices_than_there_are_is_refused_and_a_small_pool_is_planned_closer():
    scans = [scan(f"c{i}") for i in range(3)]
    with pytest.raises(UsageError, match="the 3 usable scans have 72 slices in all"):
        scans_for(73, scans, Slicing())
    assert scans_for(72, scans, Slicing()) == 3
    assert share_slices(scans, 60, Slicing()).every == 1
    with pytest.raises(UsageError, match="3 scans with at least 4"):
        share_slices(scans, 9, Slicing(least=4))


def test_planned_slices_are_found_again_however_the_scan_is_stored_by_now():
    upright = scan(origin=(10.0, 20.0, -30.0))
    [case] = plan_slices([upright], Slicing())
    flipped = scan(direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0), origin=(10.0, 20.0, 85.0))
    assert located("axial", case.positions_mm, upright) == (2, case.indices)
    assert located("axial", case.positions_mm, flipped) == (2, tuple(sorted(23 - i for i in case.indices)))
    with pytest.raises(UsageError, match=r"a: no axial slice lies at 200 mm; is it the scan of the plan\?"):
        located("axial", (200.0,), upright)


def test_minutes_are_those_of_scans_and_slices():
    assert minutes_of(3, 10, per_scan=2.0, per_slice=0.5) == 11.0


def test_unplanned_slices_are_ignored_and_the_rest_is_left():
    labels = np.arange(24).reshape(2, 3, 4) % 3
    kept = outside_ignored(labels, 2, (1, 3), ignore_value({"a": 1, "b": 2}))
    assert (kept[:, :, [0, 2]] == 3).all()
    assert (kept[:, :, [1, 3]] == labels[:, :, [1, 3]]).all()


def test_twenty_thousand_scans_are_planned_in_a_second():
    rng = np.random.default_rng(0)
    scans = [scan(f"c{i:05d}", shape=(256, 256, int(n))) for i, n in enumerate(rng.integers(20, 200, 20_000))]
    started = time.process_time()
    plan = plan_slices(scans, Slicing())
    assert len(plan.cases) == 20_000
    assert time.process_time() - started < 10, "a tenth of that is usual; this finds what grows faster than the pool"
