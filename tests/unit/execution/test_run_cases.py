import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from firstscan.domain.errors import ScanError, UsageError
from firstscan.execution import WorkerDied, run_cases

HERE = str(Path(__file__).parent)


def square(x):
    if x == 3:
        raise ScanError("unreadable", "bad 3", "convert it")
    return x * x


def fragile(x):
    if x == 4:
        os._exit(9)
    return x


ITEMS = [(f"c{i}", i) for i in range(8)]


def shown(results):
    return [(i, (type(r), str(r)) if isinstance(r, Exception) else r) for i, r in results]


def test_results_come_in_order_and_errors_are_values():
    results = shown(run_cases(square, ITEMS, workers=1))
    assert [i for i, _ in results] == [i for i, _ in ITEMS]
    assert results[3] == ("c3", (ScanError, "bad 3"))
    assert results[7] == ("c7", 49)


def test_work_that_is_given_up_prints_no_traceback():
    """An error of the caller, with work still waiting: loky's manager thread used to print its KeyError."""
    program = (
        f"import sys, time; sys.path.insert(0, {HERE!r})\n"
        "import helpers\nfrom firstscan.execution import run_cases\n"
        "work = run_cases(helpers.slow, [(str(i), i) for i in range(40)], workers=2)\n"
        "next(work); work.close(); time.sleep(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_items():
    assert list(run_cases(square, [], workers=2)) == []


def test_unknown_engine():
    with pytest.raises(UsageError, match=r"there are: .*local"):
        list(run_cases(square, ITEMS, engine="cloud"))


def test_what_is_set_up_is_kept():
    sys.path.insert(0, HERE)
    import helpers

    items = [(f"c{i}", i) for i in range(6)]
    here = [r[2:] for _, r in run_cases(helpers.count, items, setup=helpers.make, workers=1)]
    assert here == [(i + 1, i) for i in range(6)]
    threads = dict(run_cases(helpers.count, items, setup=helpers.make, workers=3, shared=True))
    assert sorted(threads) == [i for i, _ in items]
    assert {r[0] for r in threads.values()} == {os.getpid()}
    assert threading.get_ident() not in {r[1] for r in threads.values()}
    processes = dict(run_cases(helpers.count, items, setup=helpers.make, workers=2))
    pids = {r[0] for r in processes.values()}
    assert os.getpid() not in pids
    for pid in pids:
        mine = sorted(r[2] for r in processes.values() if r[0] == pid)
        assert mine == list(range(1, len(mine) + 1))
    with pytest.raises(ValueError, match="no such network"):
        list(run_cases(helpers.count, items, setup=helpers.fail_to_make, workers=2, shared=True))


def test_threads_end_with_the_caller_and_hand_out_few_at_a_time():
    begun = []

    def work(x):
        begun.append(x)
        time.sleep(0.01)
        return x

    results = run_cases(work, [(str(i), i) for i in range(100)], workers=2, shared=True)
    next(results)
    results.close()
    assert len(begun) <= 8
    assert not [t for t in threading.enumerate() if t.name.startswith("firstscan")]


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("firstscan.execution.cases.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install"):
        list(run_cases(square, ITEMS, engine="ray"))


@pytest.mark.slow
def test_processes_give_what_one_gives_and_a_dying_worker_costs_one_case():
    # in a fresh interpreter without a __main__ guard, as a user's script would be
    code = f"""
import sys
sys.path.insert(0, {HERE!r})
from test_run_cases import ITEMS, fragile, shown, square
from firstscan.execution import run_cases
assert shown(run_cases(square, ITEMS, workers=2)) == shown(run_cases(square, ITEMS, workers=1))
print(shown(run_cases(fragile, ITEMS, workers=2)))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert all(f"'c{i}', {i}" in done.stdout for i in (0, 1, 2, 3, 5, 6, 7))
    assert WorkerDied.__name__ in done.stdout
    assert "case 'c4'" in done.stdout


@pytest.mark.slow
def test_stopping_early_is_silent():
    code = """
import signal, time
from firstscan.execution import run_cases

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
signal.alarm(2)
try:
    list(run_cases(time.sleep, [(str(i), 20) for i in range(40)], workers=2))
except KeyboardInterrupt:
    time.sleep(0.5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


@pytest.mark.slow
def test_a_crash_in_the_only_case_is_a_value_too():
    code = f"""
import sys
sys.path.insert(0, {HERE!r})
from test_run_cases import fragile, shown
from firstscan.execution import run_cases
print(shown(run_cases(fragile, [("c4", 4)])))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert WorkerDied.__name__ in done.stdout


@pytest.mark.slow
def test_workers_end_with_a_killed_parent():
    code = f"""
import sys
sys.path.insert(0, {HERE!r})
from test_run_cases import pid_then_sleep
from firstscan.execution import run_cases
for _, pid in run_cases(pid_then_sleep, [("a", 0), ("b", 30), ("c", 30)], workers=2):
    print(pid, flush=True)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


def pid_then_sleep(seconds):
    time.sleep(seconds)
    return os.getpid()
