import errno
import os
from pathlib import Path

import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.store import atomic_write, remove_leftovers
from firstscan.store.atomic import write_error


def test_replaces_content(tmp_path):
    path = tmp_path / "a.txt"
    atomic_write(path, "old")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_failing_writer_leaves_the_old_content_and_no_temporary_file(tmp_path):
    path = atomic_write(tmp_path / "a.txt", "old")

    def fail(file):
        file.write(b"half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        atomic_write(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_remedy(tmp_path, code):
    def fail(file):
        file.write(b"half")
        raise OSError(code, os.strerror(code))

    with pytest.raises(DataError, match=r"disk is full.*a\.bin.*run the\s+same command again"):
        atomic_write(tmp_path / "a.bin", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_device_is_reported():
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(OSError, match="No space left") as caught, device.open("wb", buffering=0) as file:
        file.write(b"x")
    assert isinstance(write_error(device, caught.value), DataError)


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="Cannot write"):
        atomic_write(tmp_path / "missing" / "a.txt", "x")


def test_leftovers_are_removed(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".x.npy.12-ab.tmp").write_bytes(b"half")
    (tmp_path / "keep.tmp").write_bytes(b"a user's file")
    assert remove_leftovers(tmp_path) == 1
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["keep.tmp"]
