"""Ray, in an interpreter of its own with warnings as errors: started here, used, and gone afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstscan.domain.errors import UsageError
from firstscan.execution.cluster import _share
from firstscan.execution.work import Place

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray>=2.40'")

PROGRAM = """
import json, os, sys
import helpers
import firstscan.execution.cluster
firstscan.execution.cluster._SEEN_WITHIN_S = 0.0
from firstscan.execution import engine_session, run_cases
folder = sys.argv[1]

def shown(results):
    return {i: f"{type(r).__name__}: {r}" if isinstance(r, Exception) else r for i, r in results}

def run(function, items, **how):
    return shown(run_cases(function, items, engine="ray", workers=2, **how))

os.chdir(folder)
with engine_session("ray"):
    found = {"squares": run(helpers.square, [(f"c{i}", i) for i in range(8)])}
    found["kept"] = run(helpers.count, [(f"c{i}", i) for i in range(20)], setup=helpers.make)
    deadly = [(f"c{i}", (i, {4: "mark", 7: "always"}.get(i, ""))) for i in range(12)]
    found["deadly"] = run(helpers.deadly, deadly)
    for name, how in {
        "setup": {"setup": helpers.fail_to_make},
        "unseen": {"sees": [helpers.Path("/nowhere/at/all")]},
        "gpu": {"gpu": True},
    }.items():
        try:
            run(helpers.square, [("a", 1)], **how)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    import ray
    found["during"] = ray.is_initialized()
found["after"] = ray.is_initialized()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_cluster_that_starts_on_its_own(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["squares"] == {f"c{i}": "ValueError: bad 3" if i == 3 else i * i for i in range(8)}
    pids = {pid for pid, *_ in found["kept"].values()}
    assert len(pids) in {1, 2}  # the second may have come when all was done
    assert sum(max(n for p, _, n, _ in found["kept"].values() if p == pid) for pid in pids) == 20
    alive = {f"c{i}": i for i in range(12) if i != 7}
    assert {k: v for k, v in found["deadly"].items() if k != "c7"} == alive
    assert "workers were lost while they worked on case 'c7'" in found["deadly"]["c7"]
    assert (tmp_path / "mark").exists()  # a relative path: workers work where the caller does
    assert found["setup"] == "DataError: A worker cannot begin: no such network"
    assert "cannot see /nowhere/at/all" in found["unseen"]
    assert "has a GPU" in found["gpu"]
    assert found["during"]
    assert not found["after"]
    assert not [p for p in pids if Path(f"/proc/{p}").exists()]


@pytest.mark.slow
def test_an_address_where_nothing_answers():
    code = "from firstscan.execution import run_cases; list(run_cases(abs, [('a', 1)], engine='ray'))"
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120, env=environment
    )
    assert "UsageError: No Ray cluster answers at RAY_ADDRESS=127.0.0.1:1" in done.stderr


NODES = [{"CPU": 4.0, "GPU": 2.0}, {"CPU": 7.0}]


@pytest.mark.parametrize(
    ("place", "share", "count"),
    [
        (Place(), {"num_cpus": 1}, 11),
        (Place(workers=3), {"num_cpus": 1}, 3),
        (Place(cores=4), {"num_cpus": 4}, 2),
        (Place(cores=64), {"num_cpus": 7}, 1),
        (Place(gpu=None), {"num_cpus": 0, "num_gpus": 1}, 2),
        (Place(gpu=True, shared=True), {"num_cpus": 0, "num_gpus": 1, "max_concurrency": 2}, 2),
    ],
)
def test_a_worker_takes_one_core_or_one_gpu(place, share, count):
    assert _share(NODES, place, 100) == (share, count)
    assert _share(NODES, place, 1)[1] == 1


def test_more_workers_than_a_cluster_has_room_for():
    with pytest.raises(UsageError, match="room for 2, one for each GPU"):
        _share(NODES, Place(workers=3, gpu=True), 9)
    with pytest.raises(UsageError, match="offers a CPU core"):
        _share([{"GPU": 0.0}], Place(), 9)
