from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

import firstscan as fs
from firstscan.cli import run as command
from firstscan.domain.errors import UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.execution import Silent
from firstscan.imaging import index as imaging_index
from firstscan.imaging import write_image
from firstscan.imaging.dicom.headers import unpacked
from firstscan.imaging.dicom.tags import read_tags
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.tool_folder import HandoffConfig
from firstscan.steps.collecting.collect import CollectConfig, run_collect
from firstscan.steps.measuring.index import index
from firstscan.steps.running import headers
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.headers import headers_of, known_headers
from firstscan.steps.running.origin import note_origin
from firstscan.steps.running.run import Run, Settings, shown
from firstscan.store import open_workspace, write_selection

SERIES, SLICES = 3, 5


def write_slice(path: Path, series: int, number: int, description: str = "T1") -> None:
    """Write one axial MR slice of 8 × 8 voxels, ``number`` × 2 mm up."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{series}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    tags = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    tags.SOPClassUID, tags.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.FrameOfReferenceUID = f"1.2.{series}", f"1.3.{series}", "1.4"
    tags.Modality, tags.SeriesDescription, tags.PatientID, tags.InstanceNumber = "MR", description, f"p{series}", number
    tags.ImageType, tags.MagneticFieldStrength, tags.StudyDate = ["ORIGINAL", "PRIMARY"], "1.5", "20200131"
    tags.Rows, tags.Columns, tags.SamplesPerPixel, tags.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 16, 15, 0
    tags.PixelSpacing, tags.ImageOrientationPatient = [0.7, 0.7], [1, 0, 0, 0, 1, 0]
    tags.ImagePositionPatient = [-0.1, 1 / 3, 2.0 * number]
    tags.PixelData = np.zeros((8, 8), np.uint16).tobytes()
    tags.save_as(path, enforce_file_format=True)


@pytest.fixture
def archive(tmp_path):
    """Three series of five slices, one damaged slice, and a file that is no DICOM file."""
    for series in range(SERIES):
        folder = tmp_path / "archive" / f"s{series}"
        folder.mkdir(parents=True)
        for number in range(SLICES):
            write_slice(folder / f"{number}.dcm", series, number)
    (tmp_path / "archive" / "s1" / "damaged.dcm").write_bytes(b"half a file")
    (tmp_path / "archive" / "README").write_text("scans of the ward")
    return tmp_path / "archive"


@dataclass
class Recorder(Silent):
    stages: list = field(default_factory=list)

    def start(self, stage: str, total: int) -> None:
        self.stages.append([stage, total, 0])

    def advance(self, units: int = 1, note: str = "") -> None:
        self.stages[-1][2] += units


@pytest.fixture
def reads(monkeypatch):
    """The names of the files whose headers are read in this process, a list a hand-over."""
    seen: list[list[str]] = []
    real = headers.read_headers

    def counted(files):
        seen.append([path.name for path in files])
        return real(files)

    monkeypatch.setattr(headers, "read_headers", counted)
    return seen


@contextmanager
def at_work(out, workers=1, progress=None):
    with open_workspace(out) as workspace:
        yield Run(workspace, Settings(workers=workers, progress=progress or Silent()))


def indexed(archive, out, workers=1, progress=None):
    with at_work(out, workers, progress) as run:
        return index(IndexConfig(pseudonyms=False, source=str(archive)), headers_of(run))


def test_the_same_pool_however_headers_are_read(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(headers, "FILES", 4)
    (archive / "s2" / "more").write_bytes((archive / "s2" / "4.dcm").read_bytes())  # the same slice twice: one is kept
    plain = imaging_index(archive)
    assert plain.case_ids == ("s0", "s1", "s2")
    assert [f.code for f in plain.findings] == ["unreadable-file", "copied-files", "other-files"]
    assert len(plain["s2"].paths) == SLICES
    assert plain["s0"].metadata == {
        "patient": "p0",
        "field_strength": 1.5,
        "date": "2020-01-31",
        "modality": "mr",
    }
    pools = [indexed(archive, tmp_path / "one"), indexed(archive, tmp_path / "two", workers=2)]
    pools += [indexed(archive, tmp_path / "two"), *(fs.index(archive, pseudonyms=False, workers=w) for w in (2, 1))]
    assert all(pool == plain for pool in pools)


def test_only_new_and_changed_headers_are_read_again(archive, tmp_path, reads):
    out, shown = tmp_path / "out", Recorder()
    first = indexed(archive, out)
    assert sum(map(len, reads)) == SERIES * SLICES + 2
    reads.clear()
    assert indexed(archive, out, progress=shown) == first
    assert reads == [["damaged.dcm"]]  # whoever has no permission today may have it tomorrow
    assert shown.stages == [["Reading headers", 17, 17]]
    write_slice(archive / "s1" / "3.dcm", 1, 3, description="T1 again")
    os.utime(archive / "s0" / "2.dcm", ns=(1, 1))
    write_slice(archive / "s2" / "5.dcm", 2, 5)
    reads.clear()
    again = indexed(archive, out)
    assert reads == [["2.dcm", "3.dcm", "damaged.dcm", "5.dcm"]]
    assert again == imaging_index(archive)
    assert again != first


def test_a_newer_reader_reads_everything_again(archive, tmp_path, reads, monkeypatch):
    indexed(archive, tmp_path / "out")
    reads.clear()
    monkeypatch.setattr(headers, "reader_version", lambda: "next year's")
    indexed(archive, tmp_path / "out")
    assert len(reads[0]) == SERIES * SLICES + 2


def test_a_file_without_permission_is_said_and_read_once_it_has_some(archive, tmp_path, monkeypatch):
    real = Path.open

    def refused(self, *args, **options):
        if self.name == "README":
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refused)
        findings = indexed(archive, tmp_path / "out").findings
    assert "README is no readable DICOM file: PermissionError" in findings[0].message
    found = indexed(archive, tmp_path / "out").findings
    assert [Path(f.path).name for f in found] == ["damaged.dcm", "archive"]  # the README is counted for its folder


def test_a_file_that_vanishes_is_a_finding_and_nothing_is_kept_of_it(archive, tmp_path, monkeypatch):
    gone = archive / "s0" / "4.dcm"
    real = headers.HeaderReader.__call__

    def late(self, files):
        gone.unlink(missing_ok=True)
        return real(self, files)

    with monkeypatch.context() as patched:
        patched.setattr(headers.HeaderReader, "__call__", late)
        pool = indexed(archive, tmp_path / "out")
    assert [Path(f.path).name for f in pool.findings] == ["4.dcm", "damaged.dcm", "archive"]
    assert "FileNotFoundError" in pool.findings[0].message
    write_slice(gone, 0, 4)
    assert indexed(archive, tmp_path / "out") == imaging_index(archive)


def test_damaged_pieces_are_read_again(archive, tmp_path, reads):
    first = indexed(archive, tmp_path / "out")
    for path in (tmp_path / "out" / "work" / "headers").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    reads.clear()
    assert indexed(archive, tmp_path / "out") == first
    assert len(reads[0]) == SERIES * SLICES + 2


def test_what_another_results_folder_knows_is_not_read_again(archive, tmp_path, reads):
    indexed(archive, tmp_path / "results")
    kept = tmp_path / "results" / "work" / "headers"
    before = {path: path.read_bytes() for path in kept.iterdir()}
    reads.clear()
    write_slice(archive / "s2" / "5.dcm", 2, 5)
    with at_work(tmp_path / "handed") as run:
        headers_ = known_headers(run, tmp_path / "results", tmp_path / "nowhere")
        assert index(IndexConfig(pseudonyms=False, source=str(archive)), headers_) == imaging_index(archive)
    assert reads == [["damaged.dcm", "5.dcm"]]
    assert not (tmp_path / "handed" / "work" / "headers").exists()
    assert {path: path.read_bytes() for path in kept.iterdir()} == before


@pytest.mark.parametrize("picked_elsewhere", [False, True])
def test_folders_for_readers_name_no_other_patient(archive, tmp_path, reads, picked_elsewhere):
    results, handed, back = (tmp_path / name for name in ("results", "handed", "collected"))
    indexed(archive, results)
    if picked_elsewhere:
        features, results = results, tmp_path / "second-draft"
        (results / "work").mkdir(parents=True)
        note_origin(results, features, IndexConfig(pseudonyms=False, source=str(archive)))
    write_selection(results, Selection((Pick("s0", 1, None, None, None, None, "why"),), "cscs", 1, 2), {}, "0")
    reads.clear()
    now, scans = Settings(workers=1), IndexConfig(pseudonyms=False, source=str(archive))
    run_handoff(results, HandoffConfig(target="csv"), handed, now, scans=scans)
    (handed / "labels").mkdir(exist_ok=True)
    name = json.loads((handed / "handoff.json").read_text())["picks"][0]["name"]
    write_image(handed / "labels" / f"{name}.nii.gz", np.ones((8, 8, SLICES), np.uint8), np.eye(4))
    run_collect([handed], CollectConfig(), back, now)
    assert reads == [["damaged.dcm"]] * 2  # both looked into the results
    assert not [path for out in (handed, back) for path in out.rglob("headers")]


KILLED = """
import os, signal, sys
from pathlib import Path
from firstscan.execution import run_cases
from firstscan.steps.running import headers
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.measuring.index import index
from firstscan.store import Pieces, pieces

headers.FILES, pieces._BATCH_ROWS = 4, 4

def cases(function, items, **options):
    for n, result in enumerate(run_cases(function, items, workers=1)):
        if n == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield result

from functools import partial
from firstscan.execution import Silent
from firstscan.steps.running.run import shown
reader = headers.HeaderReader(cases, partial(shown, Silent()), Pieces(Path(sys.argv[2]) / "work" / "headers"))
index(IndexConfig(pseudonyms=False, source=sys.argv[1]), reader)
"""


def test_a_killed_run_keeps_what_was_flushed(archive, tmp_path, reads):
    done = subprocess.run([sys.executable, "-c", KILLED, str(archive), str(tmp_path / "out")], check=False, timeout=60)
    assert done.returncode == -9
    assert indexed(archive, tmp_path / "out") == imaging_index(archive)
    assert len(reads[0]) == SERIES * SLICES + 2 - 8


CRASH = """
import sys
from functools import partial
from pathlib import Path
import deadly
from firstscan.execution import Silent, run_cases
from firstscan.steps.running import headers
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.measuring.index import index
from firstscan.steps.running.run import shown
from firstscan.store import Pieces

headers.FILES = 4
kept = Pieces(Path(sys.argv[2]))
cases = lambda function, items, **options: run_cases(deadly.read, items, workers=2)
config = IndexConfig(pseudonyms=False, source=sys.argv[1])
pool = index(config, headers.HeaderReader(cases, partial(shown, Silent()), kept))
print(*(f"{case.case_id}:{len(case.paths)}" for case in pool))
print(*(f"{Path(f.path).name}: {f.message} ({f.code})" for f in pool.findings), sep="\\n")
"""
DEADLY = """
import os
from firstscan.imaging.dicom.headers import read_headers

def read(files):
    if any(path.name == "2.dcm" and path.parent.name == "s1" for path in files):
        os._exit(9)
    return read_headers(files)
"""


@pytest.mark.slow
def test_a_file_that_crashes_the_reader_costs_only_itself(archive, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(archive), str(tmp_path / "kept")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "s0:5 s2:5"
    assert "missing-slices" in done.stdout  # the rest of its series was read
    assert "2.dcm: 2.dcm is no readable DICOM file: the process that read it crashed" in done.stdout


def test_a_source_that_is_wrong_leaves_no_folder_and_no_result_behind(archive, tmp_path, capsys):
    out = tmp_path / "a" / "b"
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "nowhere", tmp_path / "empty"):
        for name in ("index", "check"):
            assert command([name, str(source), "--out", str(out), "--workers", "1"]) in {2, 3}
            assert not (tmp_path / "a").exists()
    assert command(["index", str(archive), "--only", "modality=CT", "--out", str(out), "--workers", "1"]) == 3
    assert [path.name for path in out.iterdir()] == ["work"]  # the headers that were read are kept
    assert command(["index", str(archive), "--out", str(out), "--workers", "1"]) == 0
    before = (out / "manifest.json").read_bytes()
    assert command(["index", str(tmp_path / "nowhere"), "--out", str(out), "--overwrite"]) == 2
    assert (out / "manifest.json").read_bytes() == before
    capsys.readouterr()


def test_few_headers_are_read_in_this_process_and_many_are_not(archive, tmp_path, monkeypatch):
    asked = []

    def cases(function, items, **options):
        asked.append([len(files) for _, files in items])
        return ((name, function(files)) for name, files in items)

    many = sorted(path for path in archive.rglob("*") if path.is_file())
    read = headers.HeaderReader(cases, partial(shown, Silent()))
    monkeypatch.setattr(headers, "FILES", 17)
    told = read(many)
    assert asked == []
    monkeypatch.setattr(headers, "FILES", 16)
    assert read(many) == told
    assert asked == [[16, 1], []]


def test_other_content_under_the_same_name_size_and_time_is_read(archive, tmp_path):
    indexed(archive, tmp_path / "out")
    for number in range(SLICES):
        path = archive / "s0" / f"{number}.dcm"
        before = path.stat()
        path.write_bytes(path.read_bytes().replace(b"p0", b"q7"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = path.stat()
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert indexed(archive, tmp_path / "out")["s0"].metadata["patient"] == "q7"


def test_what_is_kept_of_files_that_are_gone_goes(archive, tmp_path, reads):
    out = tmp_path / "out"
    indexed(archive, out)

    def patients():
        return {word for path in (out / "work" / "headers").iterdir() for word in patients_in(path)}

    assert patients() == {"p0", "p1", "p2"}
    for number in range(SLICES):
        (archive / "s0" / f"{number}.dcm").unlink()
    indexed(archive, out)
    assert patients() == {"p0", "p1", "p2"}  # a third of the rows
    for number in range(SLICES):
        (archive / "s2" / f"{number}.dcm").unlink()
    write_slice(archive / "s1" / "5.dcm", 1, 5)
    reads.clear()
    indexed(archive, out)
    assert patients() == {"p1"}
    indexed(archive, out)
    assert reads == [["5.dcm", "damaged.dcm"], ["damaged.dcm"]]


def patients_in(path):
    """Return the patients that a piece of kept headers names."""
    common = pq.read_table(path)["common"].to_pylist()
    return {json.loads(text)["metadata"]["patient"] for text in common if text}


def test_results_in_the_source_are_no_scans(archive, tmp_path):
    out = archive / "out"
    assert [len(indexed(archive, out)) for _ in range(3)] == [SERIES] * 3
    assert indexed(archive, out).findings == imaging_index(archive).findings


def test_a_wrong_request_is_refused_before_headers_are_read(archive, tmp_path, reads):
    with pytest.raises(UsageError, match="unknown layout"), at_work(tmp_path / "out") as run:
        index(IndexConfig(pseudonyms=False, source=str(archive), layout="dicoms"), headers_of(run))
    assert reads == []


def test_what_is_kept_says_all_of_a_slice(tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    files = [folder / name for name in ("a.dcm", "ü \udcff.dcm", "huge.dcm", "text.dcm", "note.txt")]
    write_slice(files[0], 0, 7, description='T1 "quoted" µ')
    write_slice(files[1], 0, 8)
    write_slice(files[2], 1, 9)
    files[2].write_bytes(files[2].read_bytes().replace(b"1.3.1", b"1.3.9"))
    tags = pydicom.dcmread(files[2])
    tags.NumberOfFrames, tags.InstanceNumber = 10**11, -(10**11)
    tags.ImagePositionPatient = [-0.0, 1e300, 1e-300]
    tags.save_as(files[2])
    files[3].write_text("no DICOM")
    files[4].write_text("no DICOM")
    expected = [read_tags(path) for path in files]
    assert expected[2].missing_bytes > 2**42
    assert isinstance(expected[3], str)
    assert expected[4] is None
    assert list(unpacked(files, headers.read_headers(files))) == expected
    for _ in range(2):
        with at_work(tmp_path / "out") as run:
            assert list(unpacked(files, headers_of(run)(files))) == expected
