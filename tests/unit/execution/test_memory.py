"""Freed memory stays with the process while it is to, and goes back to the system afterwards."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from firstscan.execution.memory import GIB, freed_memory_kept, keep_freed_memory

BLOCK = 200 * 2**20

glibc_only = pytest.mark.skipif(
    not (sys.platform == "linux" and platform.libc_ver()[0] == "glibc"),
    reason="only glibc can be told to keep freed memory; elsewhere nothing is changed",
)


def faults_of_a_second_block() -> int:
    """Return how many pages the system had to provide for a block after an equal one was freed."""
    import resource

    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = np.empty(BLOCK, np.uint8)
        block[::4096] = 1
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@glibc_only
@pytest.mark.parametrize("at_most", [None, GIB])
def test_a_block_that_was_freed_serves_again(at_most: int | None) -> None:
    with freed_memory_kept(at_most):
        kept = faults_of_a_second_block()
    assert kept * 10 < faults_of_a_second_block()


@glibc_only
def test_more_than_may_lie_idle_goes_back() -> None:
    with freed_memory_kept(BLOCK // 4):
        faults = faults_of_a_second_block()
    with freed_memory_kept():
        kept = faults_of_a_second_block()
    assert kept * 10 < faults


@glibc_only
def test_what_was_kept_is_handed_back_in_the_end() -> None:
    before = resident_bytes()
    with freed_memory_kept():
        faults_of_a_second_block()
        kept = resident_bytes()
    assert kept - before > BLOCK / 2
    assert resident_bytes() - before < BLOCK / 2


@glibc_only
def test_an_error_within_ends_it_too() -> None:
    with pytest.raises(ZeroDivisionError), freed_memory_kept():
        raise ZeroDivisionError
    assert faults_of_a_second_block() > 10


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstscan.execution.memory._glibc", lambda: None)
    keep_freed_memory(GIB)
    with freed_memory_kept():
        assert faults_of_a_second_block() > 10
