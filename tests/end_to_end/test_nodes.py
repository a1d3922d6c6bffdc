"""A training of two nodes: two processes with the environment that torchrun gives them, on this machine."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys

import pytest

from firstscan.cli import run

from .conftest import write_cohort

OPTIONS = ("--preset", "fast", "--train-steps", "2", "--device", "cpu", "--workers", "1")


def launched(rank, port, arguments):
    told = {"RANK": rank, "LOCAL_RANK": 0, "GROUP_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 1}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1}
    code = f"import sys; from firstscan.cli import run; sys.exit(run({arguments!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **{k: str(v) for k, v in told.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def both(arguments):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [launched(rank, port, arguments) for rank in (0, 1)]
    return [(*process.communicate(timeout=300), process.returncode) for process in processes]


@pytest.mark.slow
def test_the_first_does_the_command_and_the_other_trains_along(tmp_path):
    scans, out = write_cohort(tmp_path / "scans", n=4), tmp_path / "two"
    job = ["pretrain", str(scans), "--out", str(out), *OPTIONS, "--nodes", "2"]
    first, second = both(job)
    assert (first[2], second[2]) == (0, 0), (first[1][-2000:], second[1][-2000:])
    assert f"Weights: {out / 'weights.pt'}" in first[0]
    assert second[0] == ""
    assert "Reading scans" not in second[1]
    assert run(["pretrain", str(scans), "--out", str(tmp_path / "one"), *OPTIONS]) == 0
    losses = [
        [float(row["loss"]) for row in csv.DictReader((folder / "training.csv").read_text().splitlines())]
        for folder in (out, tmp_path / "one")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)

    again, other = both(job)  # there is nothing to train: nobody waits for anybody
    assert (again[2], other[2]) == (0, 0)


def test_a_launch_that_does_not_fit_is_explained(tmp_path, monkeypatch, capsys):
    scans = write_cohort(tmp_path / "scans", n=1)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    job = ["pretrain", str(scans), "--out", str(tmp_path / "o"), *OPTIONS, "--nodes", "2"]
    assert run(job) == 2
    assert "torchrun --nnodes 2 --nproc-per-node 1" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert run(job) == 2
    assert "torchrun has started 3" in capsys.readouterr().err
    assert run([*job[:-1], "0"]) == 2
    assert "--nodes 0" in capsys.readouterr().err
