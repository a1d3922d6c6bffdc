"""Every wrong input: one clear block on stderr, the right exit code, nothing that a rerun would trust."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firstscan.cli import run
from firstscan.imaging import read_array, write_image
from firstscan.store import read_findings

from .conftest import write_cohort

QUICK = ("--preset", "fast", "--train-steps", "1", "--workers", "1", "--device", "cpu")


def select(source: object, out: object, *more: str, budget: int = 3) -> int:
    return run(["select", str(source), "--budget", str(budget), "--out", str(out), *QUICK, *more])


def said(capsys) -> str:
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def no_result(out: Path) -> bool:
    return not any((out / n).exists() for n in ("manifest.json", "selection.csv", "selection.json", "report.html"))


def test_an_empty_folder(tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    assert select(tmp_path / "scans", tmp_path / "out") == 3
    assert "the folder is empty" in said(capsys)
    assert not (tmp_path / "out").exists()
    (tmp_path / "scans" / "notes.txt").write_text("no scan")
    assert select(tmp_path / "scans", tmp_path / "out") == 3
    assert "no scan found" in said(capsys)


def test_a_source_that_is_not_there_or_a_file(tmp_path, capsys):
    assert select(tmp_path / "nowhere", tmp_path / "out") == 2
    assert "does not exist" in said(capsys)
    (tmp_path / "file.txt").write_text("")
    assert select(tmp_path / "file.txt", tmp_path / "out") == 2
    assert "file" in said(capsys)


def test_no_readable_scan_still_writes_the_findings(tmp_path, capsys):
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    (scans / "a.nii.gz").write_bytes(b"nothing")
    (scans / "b.nrrd").write_bytes(b"")
    assert select(scans, out, budget=2) == 3
    message = said(capsys)
    assert "None of the 2 scan(s)" in message
    assert str(out / "findings.csv") in message
    assert {f.case_id for f in read_findings(out / "findings.csv")} == {"a", "b"}
    assert no_result(out)


def test_flat_and_four_dimensional_images_are_findings(tmp_path, capsys):
    import SimpleITK

    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((8, 8), np.float32)), str(scans / "flat.nii.gz"))
    four = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(np.ones((8, 8, 8), np.float32))] * 2)
    SimpleITK.WriteImage(four, str(scans / "four.nii.gz"))
    assert run(["check", str(scans), "--out", str(out), "--workers", "1"]) == 0  # it did its work
    assert "2 scan(s) found, 0 usable, 2 left out" in capsys.readouterr().out
    assert select(scans, out, budget=2) == 3
    assert "None of the 2 scan(s)" in said(capsys)
    assert {(f.case_id, f.code) for f in read_findings(out / "findings.csv")} == {
        ("flat", "not-3d"),
        ("four", "not-3d"),
    }


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_below_one(cohort, tmp_path, capsys, budget):
    assert select(cohort, tmp_path / "out", budget=budget) == 2
    assert f"--budget {budget}: at least 1 scan" in said(capsys)
    assert not (tmp_path / "out").exists()


def test_a_budget_above_what_is_usable(cohort, tmp_path, capsys):
    out = tmp_path / "out"
    assert select(cohort, out, budget=10) == 3
    message = said(capsys)
    assert "only 9 scan(s) can be picked" in message
    assert "2 of 11 were left out, see findings.csv" in message
    assert len(read_findings(out / "findings.csv")) >= 2
    assert no_result(out)
    assert not (out / "work" / "weights").exists()


def test_two_files_with_one_id(tmp_path, capsys):
    scans = tmp_path / "scans"
    scans.mkdir()
    for ending in (".nii.gz", ".nrrd"):
        write_image(scans / f"same{ending}", np.random.default_rng(0).random((8, 8, 8), np.float32), np.eye(4))
    assert select(scans, tmp_path / "out", budget=1) == 3
    message = said(capsys)
    assert "same.nii.gz has the same name as same.nrrd but for the ending" in message
    assert "To do: rename one of them" in message


def test_an_output_that_cannot_be(cohort, tmp_path, capsys):
    blocker = tmp_path / "file"
    blocker.write_text("mine")
    assert select(cohort, blocker) == 2
    assert "is a file; a folder is needed" in said(capsys)
    assert select(cohort, blocker / "out") == 2
    assert "file is a file" in said(capsys)
    assert blocker.read_text() == "mine"
    assert select(cohort, "/proc/firstscan") == 2
    assert "Cannot write" in said(capsys)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--strategy", "best"), "unknown strategy 'best'"),
        (("--strategy", "cscs", "--option", "neighbors=5"), "neighbours"),
        (("--option", "neighbours"), "write NAME=VALUE"),
        (("--thin-strata", "skip"), "--thin-strata skip"),
        (("--preset", "slow"), "--preset slow"),
        (("--seed", "-1"), "--seed -1"),
        (("--seed", "x"), "Invalid value for '--seed'"),
        (("--region", "brain"), "--region brain"),
        (("--modality", "pet"), "--modality pet"),
        (("--workers", "0"), "--workers 0"),
        (("--engine", "cloud"), "there are: local"),
        (("--device", "tpu"), "unknown device 'tpu'"),
        (("--checkpoint", "none.pt"), "--checkpoint none.pt: there is no such file"),
        (("--exclude", "none.txt"), "none.txt cannot be read"),
        (("--channel", "T9"), "T9"),
        (("--no-such-option",), "No such option"),
        (("--severity", "duplicates=warn"), "do you mean 'duplicate'?"),
        (("--severity", "duplicate=maybe"), "--severity duplicate=maybe: "),
        (("--out", ""), "the name of a folder is needed"),
        (("--only", "site=A"), "--only site: the source does not tell this; it tells: none"),
        (("--only", "site"), "write COLUMN=PATTERN"),
        (("--group-by", "hospital"), "there is no such column; there are: "),
    ],
)
def test_wrong_options_end_with_2_before_any_training(cohort, tmp_path, capsys, more, message):
    out = tmp_path / "out"
    assert select(cohort, out, *more) == 2
    assert message in said(capsys)
    assert no_result(out)
    assert not (out / "work" / "weights").exists()


def test_ids_that_are_not_in_the_pool(cohort, tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("scan_1\n")
    assert select(cohort, tmp_path / "out", "--exclude", str(tmp_path / "ids.txt")) == 2
    assert "not in the pool: scan_1 (do you mean 'scan_" in said(capsys)
    (tmp_path / "ids.txt").write_text("broken\n")
    assert select(cohort, tmp_path / "out", "--include", str(tmp_path / "ids.txt")) == 3
    assert "'broken', which cannot be used" in said(capsys)


def test_ids_that_are_no_text_or_leave_nothing(cohort, tmp_path, capsys):
    (tmp_path / "ids.txt").write_bytes("scan_01".encode("utf-16"))
    assert select(cohort, tmp_path / "out", "--exclude", str(tmp_path / "ids.txt")) == 2
    assert "it is not text in UTF-8" in said(capsys)
    (tmp_path / "ids.txt").write_text("\n".join(f"scan_{i:02d}" for i in range(9)))
    assert select(cohort, tmp_path / "out", "--exclude", str(tmp_path / "ids.txt"), budget=2) == 3
    message = said(capsys)
    assert "only 0 scan(s) can be picked" in message
    assert "shorten the lists" in message


def test_a_missing_option_names_the_help(cohort, capsys):
    assert run(["select", str(cohort)]) == 2
    message = said(capsys)
    assert "Missing option '--out'" in message
    assert "firstscan select --help" in message


def test_a_checkpoint_that_is_no_weights_file(cohort, tmp_path, capsys):
    (tmp_path / "weights.pt").write_bytes(b"PK nothing")
    assert select(cohort, tmp_path / "out", "--checkpoint", str(tmp_path / "weights.pt")) == 2
    assert "is not a file of plain weights" in said(capsys)
    assert no_result(tmp_path / "out")


def test_a_full_disk_is_exit_3_and_a_rerun_recovers(cohort, tmp_path, capsys, monkeypatch):
    from firstscan.store import atomic

    out, real, left = tmp_path / "out", atomic.os.fsync, [14]

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(atomic.os, "fsync", fsync)
        assert run(["check", str(cohort), "--out", str(out), "--workers", "1"]) == 3
    message = said(capsys)
    assert "The disk is full" in message
    assert "run the same command again" in message
    assert not list(out.rglob("*.tmp"))
    assert not (out / "manifest.json").exists()
    assert run(["check", str(cohort), "--out", str(out), "--workers", "1"]) == 0


def test_a_results_folder_in_use_is_refused(cohort, tmp_path, capsys):
    from firstscan.store import open_workspace

    with open_workspace(tmp_path / "out"):
        assert select(cohort, tmp_path / "out") == 2
    assert "is in use by" in said(capsys)


def test_debug_shows_the_traceback(tmp_path, capsys):
    assert run(["select", str(tmp_path / "none"), "--budget", "1", "--out", str(tmp_path / "o"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(cohort, tmp_path, capsys, monkeypatch):
    from firstscan.steps.running import run as running

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_cases", interrupted)
    assert select(cohort, tmp_path / "out") == 130
    assert "run the same command again" in said(capsys)


def test_a_defect_is_reported_as_one_block(cohort, tmp_path, capsys, monkeypatch):
    from firstscan.steps.running import run as running

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(running, "run_cases", broken)
    assert select(cohort, tmp_path / "out") == 1
    assert "ZeroDivisionError: inside" in said(capsys)


def test_a_crash_in_the_reading_library_costs_one_scan(cohort, tmp_path):
    code = f"""
import os, sys
import firstscan.steps.measuring.check as check
def crash(item):
    if item[0].case_id == "scan_03":
        os._exit(11)
    from firstscan.imaging import inspect
    return inspect(item[0], modality=item[1])
check._inspect = crash
from firstscan.cli import run
sys.exit(run(["check", {str(cohort)!r}, "--out", {str(tmp_path / "out")!r}, "--workers", "2"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = {f.case_id: f for f in read_findings(tmp_path / "out" / "findings.csv")}
    assert found["scan_03"].code == "crashed-reader"
    assert set(found) == {"scan_03", "broken", "scan_copy"}


def test_how_much_to_annotate_has_to_be_said(cohort, tmp_path, capsys):
    assert run(["select", str(cohort), "--out", str(tmp_path / "out")]) == 2
    assert "--budget B scans, or --slices S slices" in said(capsys)
    assert not (tmp_path / "out").exists()


def test_scans_that_no_slices_can_be_planned_in_are_findings(tmp_path, capsys):
    scans = write_cohort(tmp_path / "scans", n=4)
    voxels, affine = read_array(scans / "scan_03.nii.gz")
    write_image(scans / "scan_03.nii.gz", voxels[:, :, 7:12], affine)
    assert select(scans, tmp_path / "out", "--every", "4", "--least", "8", budget=3) == 0, said(capsys)
    (found,) = [f for f in read_findings(tmp_path / "out" / "findings.csv") if f.code == "slices-unplannable"]
    assert (found.case_id, found.severity) == ("scan_03", "warn")
    assert "fewer than --least 8" in found.message
    assert select(scans, tmp_path / "none", "--every", "4", "--range", "900:950", budget=3) == 3
    assert "no slices can be planned in any of the" in said(capsys)
    assert no_result(tmp_path / "none")
    assert run(["select", str(scans), "--slices", "999", "--out", str(tmp_path / "many"), *QUICK]) == 2
    assert "usable scans have" in said(capsys)
    assert no_result(tmp_path / "many")
