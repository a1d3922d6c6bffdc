"""Functions that workers import by name."""

import os
import signal
import threading
import time
from pathlib import Path


class Kept:
    """What a worker keeps."""

    def __init__(self):
        self.times = 0


def make():
    return Kept()


def count(kept, x):
    kept.times += 1
    return os.getpid(), threading.get_ident(), kept.times, x


def fail_to_make():
    raise ValueError("no such network")


def slow(x):
    time.sleep(0.1)
    return x


def square(x):
    if x == 3:
        raise ValueError("bad 3")
    return x * x


def deadly(item):
    """Kill the worker always (``always``), or where no worker has died for this case yet."""
    number, mark = item
    if mark == "always":
        os.kill(os.getpid(), signal.SIGKILL)
    if mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number
