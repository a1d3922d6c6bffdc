"""Lanes: as many threads as asked for, each of which computes alone."""

from __future__ import annotations

import pytest
import torch

from firstscan.learning.lanes import Lanes


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_each_lane_computes_on_one_thread_and_leaves_the_caller_its_own(three_threads):
    lanes = Lanes(2)
    torch.ones(10).sum()
    assert (
        lanes.map(lambda _: (torch.get_num_threads(), torch.is_inference_mode_enabled()), range(8)) == [(1, True)] * 8
    )
    assert torch.get_num_threads() == 3


def test_results_come_in_order_and_errors_are_raised(three_threads):
    lanes = Lanes()
    assert lanes.count == 3
    assert lanes.map(lambda n: n * n, range(20)) == [n * n for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        lanes.map(lambda n: 1 // n, [2, 1, 0])
