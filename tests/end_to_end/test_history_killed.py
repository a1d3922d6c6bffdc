"""Twenty processes killed in the middle of actions: the history leads to the same batch, and nothing is lost."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.features import FeatureTable
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.tool_folder import HandoffConfig
from firstscan.steps.reporting.written import current
from firstscan.steps.running.config import IndexConfig, PickConfig
from firstscan.steps.running.history import BATCHES, NAME, History
from firstscan.steps.running.origin import note_origin
from firstscan.steps.running.replay import replay
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.batch import in_full
from firstscan.steps.selecting.pick import run_pick
from firstscan.steps.steering.amend import extend
from firstscan.store import read_manifest, verified, write_features
from firstscan.store import read_selection as read_files

from .conftest import write_cohort

KILLS = 20
NOW = Settings()


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A batch of six of sixty scans, which can be handed over."""
    names = [f"c{i:02d}" for i in range(60)]
    scans = write_cohort(tmp_path / "scans", 3)
    files = sorted(scans.iterdir())
    for i, name in enumerate(names):
        (scans / f"{name}.nii.gz").write_bytes(files[i % 3].read_bytes() + bytes([i]))
    rows = [f"{name},scans/{name}.nii.gz" for name in names]
    (tmp_path / "source.csv").write_text("\n".join(["case_id,path", *rows]))
    rng = np.random.default_rng(1)
    write_features(tmp_path / "own.parquet", FeatureTable(tuple(names), rng.normal(size=(60, 4)), rng.random(60)))
    out = tmp_path / "out"
    run_pick(tmp_path / "own.parquet", PickConfig.of(budget=6), out, NOW)
    note_origin(out, out, IndexConfig.of(source=str(tmp_path / "source.csv")))
    return out


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "firstscan.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def killed_in(
    process: subprocess.Popen[str],
    sign: Callable[[], object],
    after: float,
    act: Callable[[], None] = lambda: None,
) -> None:
    """Kill a process ``after`` so many seconds from a change of ``sign``; ``act`` makes it do something."""
    first, ends = sign(), time.monotonic() + 120
    act()
    while process.poll() is None and sign() == first and time.monotonic() < ends:
        time.sleep(0.0005)
    assert sign() != first
    time.sleep(after)
    process.kill()
    process.wait()


def written(out: Path) -> Callable[[], int]:
    """The size of the history: it changes where an action begins to count."""
    return lambda: (out / NAME).stat().st_size


def kept(out: Path) -> Callable[[], int]:
    """The number of batches that are kept: it changes just before an action counts."""
    return lambda: len(list((out / BATCHES).glob("*.json")))


def review_killed(out: Path, rng: np.random.Generator, after: float) -> list[int]:
    """Steer on the page, and kill its server in the middle of the last action; return the entries it confirmed."""
    confirmed: list[int] = []
    with started("review", str(out), "--no-open") as server:
        address = re.search(r"http://\S+", server.stdout.readline())[0]
        with httpx.Client(base_url=address, timeout=30) as client:
            ids = client.get("api/pool").json()["ids"]

            def asked(action: str, **more: object) -> None:
                answer = client.post("api/act", json={"action": action, **more}, headers={"origin": address[:-45]})
                assert answer.status_code == 200, answer.text
                confirmed.append(answer.json()["seq"])

            picks = [ids[p["row"]] for p in client.get("api/state").json()["picks"]]
            asked("accept", case=picks[0])
            asked("veto", case=picks[int(rng.integers(1, len(picks)))], why="motion")
            last = [("veto", {"case": picks[0], "why": "metal"}), ("budget", {"budget": 5 + int(rng.integers(4))})]
            action, more = last[int(rng.integers(2))]

            def send() -> None:
                def quietly() -> None:
                    with suppress(httpx.HTTPError, AssertionError):
                        asked(action, **more)

                threading.Thread(target=quietly, daemon=True).start()

            killed_in(server, written(out), after, send)
    return confirmed


@pytest.mark.slow
def test_twenty_kills_lose_nothing(batch, tmp_path):
    rng = np.random.default_rng(7)
    for number in range(KILLS):
        after = float(rng.choice([0.0, 0.002, 0.01, 0.03]))
        lines, seq = (batch / NAME).read_bytes(), History(batch).events[-1].seq
        sign = written(batch) if rng.integers(2) else kept(batch)
        before = current(batch, NOW)
        kind = ("review", "replace", "extend", "handoff")[number % 4]
        if kind == "review":
            confirmed = review_killed(batch, rng, after)
            assert {e.seq for e in History(batch).events} >= set(confirmed)
        elif kind == "replace":
            gone = before.case_ids[int(rng.integers(len(before)))]
            with started("replace", str(batch), gone, "--why", "motion") as process:
                killed_in(process, sign, after)
            if History(batch).events[-1].seq > seq:
                assert gone not in fs.read_selection(batch).case_ids
            else:
                assert fs.read_selection(batch) == before
        elif kind == "extend":
            with started("extend", str(batch), "--more", "2") as process:
                killed_in(process, sign, after)
            assert extend(batch, 2, NOW) == fs.read_selection(batch)
            assert fs.read_selection(batch).case_ids[:-2] == before.case_ids
            assert len(fs.read_selection(batch)) == len(before) + 2
        else:
            given = tmp_path / f"given-{number}"
            with started("handoff", str(batch), "--to", "csv", "--out", str(given)) as process:
                killed_in(process, given.is_dir, after)
            run_handoff(batch, HandoffConfig(target="csv"), given, NOW)
            listed = next(given.glob("*.csv"))
            with listed.open() as file:
                assert [row["case_id"] for row in csv.DictReader(file)] == list(before.case_ids)
        whole = (batch / NAME).read_bytes()
        assert whole.startswith(lines)  # nothing that was there is lost or changed
        state = replay(History(batch).events)
        assert fs.read_selection(batch) == in_full(batch, state)
        assert current(batch, NOW).picks == state.picks == read_files(batch).picks
        assert verified(batch, read_manifest(batch))
        assert not list(batch.glob(".*.tmp"))
    elsewhere = shutil.copytree(batch, tmp_path / "moved")
    assert fs.read_selection(elsewhere) == fs.read_selection(batch)
    seqs = [json.loads(line)["seq"] for line in (batch / NAME).read_text().splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > KILLS
