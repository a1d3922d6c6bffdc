import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.store import CaseCache, case_slug, open_workspace

HOLD = """
import sys, time
from pathlib import Path
from firstscan.store import open_workspace
with open_workspace(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_dead_one_is_taken_over(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=rf"is in use by another run \(process {first.pid} on \S+, started 20"):
            open_workspace(tmp_path).__enter__()
        first.send_signal(signal.SIGKILL)
        first.wait()
        with open_workspace(tmp_path) as workspace:
            assert json.loads((workspace.work / "run.json").read_text())["pid"] == os.getpid()
    finally:
        first.kill()
        first.wait()
        first.stdout.close()


def test_the_lock_is_released(tmp_path):
    for _ in range(2):
        with open_workspace(tmp_path) as workspace:
            workspace.log("x", n=1)
    assert len((tmp_path / "work" / "log.jsonl").read_text().splitlines()) == 2


def test_a_file_in_the_way_is_named(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(UsageError, match="is a file"):
        open_workspace(blocker).__enter__()
    with pytest.raises(UsageError, match=r"cannot be created: .*file is a file"):
        open_workspace(blocker / "out").__enter__()


def test_an_unwritable_place_is_named():
    with pytest.raises(UsageError, match=r"Cannot write /proc/firstscan"):
        open_workspace(Path("/proc/firstscan")).__enter__()


def test_slugs_are_safe_and_distinct():
    ids = ["a/b", "a_b", "../../etc", "ü ä", "x" * 300, "", "A"]
    slugs = [case_slug(i) for i in ids]
    assert len(set(slugs)) == len(ids)
    assert all("/" not in s and len(s) < 64 and s == Path(s).name for s in slugs)


def test_a_damaged_cache_file_counts_as_absent(tmp_path):
    cache = CaseCache(tmp_path / "c").prepare()
    path = cache.path("a/b", "0" * 16, ".npy")
    assert cache.read_or_none(path, np.load) is None
    cache.write_array(path, np.arange(3))
    np.testing.assert_array_equal(cache.read_or_none(path, np.load), [0, 1, 2])
    path.write_bytes(path.read_bytes()[:-4])
    assert cache.read_or_none(path, np.load) is None
    assert not path.exists()


@pytest.mark.parametrize("kept", [False, True])
def test_a_new_folder_goes_again_where_nothing_was_kept(tmp_path, kept):
    out = tmp_path / "a" / "b"
    with suppress(UsageError), open_workspace(out) as workspace:
        workspace.log("start")
        if kept:
            (workspace.folder("headers") / "0.parquet").write_bytes(b"x")
        raise UsageError("wrong source")
    assert (tmp_path / "a").exists() == kept
    if kept:
        assert (out / "work" / "log.jsonl").read_text()


def test_a_folder_that_was_there_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError), open_workspace(tmp_path / "a"):
        raise UsageError("wrong source")
    assert (tmp_path / "a").is_dir()
    with suppress(UsageError), open_workspace(tmp_path / "a" / "b") as workspace:
        (workspace.out / "labels").mkdir()
        raise UsageError("wrong source")
    assert (tmp_path / "a" / "b" / "work" / "run.lock").is_file()
