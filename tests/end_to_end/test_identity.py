"""Nobody's name leaves ``work/``: secrets planted in headers and folder names are looked for in all outputs."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

import firstscan as fs
from firstscan.cli import run
from firstscan.domain.selection import Pick, Selection
from firstscan.imaging import read_volume, write_image
from firstscan.steps.running.identity import read_key
from firstscan.store import write_manifest, write_selection

PATIENTS = 6
SIZE, SLICES = 24, 12
TEXTS = [
    "PatientName",
    "PatientID",
    "OtherPatientNames",
    "PatientAddress",
    "PatientComments",
    "InstitutionName",
    "InstitutionAddress",
    "ReferringPhysicianName",
    "OperatorsName",
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "StudyDescription",
    "ProtocolName",
    "DeviceSerialNumber",
    "AccessionNumber",
    "StudyID",
    "BodyPartExamined",
]


def write_series(folder: Path, patient: int, *, slices: int = SLICES) -> None:
    """Write one axial CT series whose every text tag, and the folder of which, holds a secret."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(patient)
    grid = np.indices((SIZE, SIZE)) - SIZE / 2 + 0.5
    body = np.hypot(*grid) < SIZE * (0.3 + 0.02 * patient)
    for number in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = f"1.2.3.{patient}.{number}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        tags = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        tags.SOPClassUID, tags.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.FrameOfReferenceUID = (f"1.9{i}.{patient}" for i in "123")
        for i, name in enumerate(TEXTS):
            setattr(tags, name, f"QX{patient}SECRET{i}")
        tags.Modality, tags.SeriesDescription = "CT", f"AX QX{patient}SECRETDESC"
        tags.StudyDate, tags.PatientBirthDate, tags.PatientAge, tags.PatientSex = "20190807", "19340506", "093Y", "F"
        tags.InstanceNumber, tags.ImageType = number, ["ORIGINAL", "PRIMARY", "AXIAL"]
        tags.Rows, tags.Columns, tags.SamplesPerPixel, tags.PhotometricInterpretation = SIZE, SIZE, 1, "MONOCHROME2"
        tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 16, 15, 1
        tags.PixelSpacing, tags.ImageOrientationPatient = [4.0, 4.0], [1, 0, 0, 0, 1, 0]
        tags.ImagePositionPatient = [0.0, 0.0, 5.0 * number]
        tags.RescaleSlope, tags.RescaleIntercept = 1, 0
        voxels = np.where(body, 40 + 30 * np.sin(grid[0] / (2 + patient)), -1000) + rng.normal(0, 5, body.shape)
        tags.PixelData = voxels.astype(np.int16).tobytes()
        tags.save_as(folder / f"QX{patient}SECRETFILE{number}.dcm", enforce_file_format=True)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "QX9SECRETROOT"
    for patient in range(PATIENTS):
        write_series(root / f"QX{patient}SECRETFOLDER" / "CT", patient)
    write_series(root / "QX7SECRETFOLDER" / "short", 7, slices=1)
    (root / "QX8SECRETDAMAGED.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"half a file")
    report = pydicom.dcmread(root / "QX0SECRETFOLDER" / "CT" / "QX0SECRETFILE0.dcm")
    report.Modality, report.SeriesInstanceUID = "SR", "1.5.5"
    report.save_as(root / "QX8SECRETREPORT.dcm")
    return root


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def secrets_in(folder: Path) -> list[str]:
    """Return where a secret is found below ``folder``: in names, links, and bytes, unpacked where they are packed."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if "work" in inside.parts:
            continue
        seen = [str(inside).encode()]
        if path.is_symlink():
            seen.append(str(path.readlink()).encode())
        elif path.is_file():
            content = path.read_bytes()
            seen.append(content)
            if path.suffix == ".gz":
                seen.append(gzip.decompress(content))
            if path.suffix == ".parquet":
                seen.append(pd.read_parquet(path).to_csv().encode())
        planted = (b"SECRET", b"19340506", b"20190807", b"2019-08-07", b"1.91.", b"1.92.")
        found += [f"{inside}: {p.decode()}" for p in planted for text in seen if p in text]
    return found


@pytest.fixture(scope="module")
def results(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    source = str(archive)
    picked = ["--preset", "fast", "--train-steps", "3", "--workers", "1", "--device", "cpu"]
    assert run(["index", source, "--out", str(out / "index")]) == 0
    assert run(["check", source, "--out", str(out / "check"), "--workers", "1"]) == 0
    quota = f"--quota=site=QX1SECRET{TEXTS.index('InstitutionName')}:1-"
    excluded = out.parent / "excluded.txt"
    excluded.write_text("QX2SECRETFOLDER_CT\n")
    command = ["select", source, "--budget", "2", "--out", str(out / "batch"), "--exclude", str(excluded), quota]
    assert run([*command, *picked, "--show-metadata", "--every", "2"]) == 0
    return out


def test_no_output_of_any_command_holds_a_secret(results, archive, capsys):
    batch = results / "batch"
    picks = [row["case_id"] for row in rows_of(batch / "selection.csv")]
    assert all(i.startswith("case-") for i in picks)
    assert run(["pick", str(batch), "--budget", "3", "--out", str(results / "picked")]) == 0
    assert run(["replace", str(batch), picks[0], "--why", "motion"]) == 0
    assert run(["extend", str(batch), "--more", "1"]) == 0
    assert run(["report", str(batch)]) == 0
    for target in ("nnunet", "slicer", "itksnap", "mitk", "monailabel", "bids", "csv", "dicom-list"):
        assert run(["handoff", str(batch), "--to", target, "--out", str(results / target)]) == 0
    readers = ["--readers", "2", "--overlap", "1"]
    assert run(["handoff", str(results / "picked"), "--to", "slicer", "--out", str(results / "two"), *readers]) == 0
    assert secrets_in(results) == []
    printed = "".join(capsys.readouterr())
    assert "SECRET" not in printed.replace("QX9SECRETROOT", "")


def test_the_key_leads_back_and_only_its_owner_can_read_it(results, archive):
    key = results / "batch" / "work" / "key.csv"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    names = read_key(key)
    assert all(names.of("case", f"QX{p}SECRETFOLDER_CT").startswith("case-") for p in range(PATIENTS))
    rows = rows_of(key)
    assert any(row["kind"] == "case" and row["path"].endswith("QX0SECRETFOLDER/CT") for row in rows)
    assert read_key(results / "index" / "work" / "key.csv").names["case"] == names.names["case"]


def test_ids_are_neutral_in_the_same_way_and_lists_may_use_either_name(results):
    body = json.loads((results / "batch" / "manifest.json").read_text())
    names = read_key(results / "batch" / "work" / "key.csv")
    assert body["config"]["exclude"] == [names.of("case", "QX2SECRETFOLDER_CT")]
    assert body["config"]["source"].startswith("sha256:")
    header = (results / "batch" / "selection.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "path" not in header.split(",")


def test_a_second_run_finds_everything_done(results, archive, capsys):
    quota = f"--quota=site=QX1SECRET{TEXTS.index('InstitutionName')}:1-"
    excluded = results.parent / "excluded.txt"
    again = ["select", str(archive), "--budget", "2", "--out", str(results / "second"), "--exclude", str(excluded)]
    again += [quota, "--preset", "fast", "--train-steps", "3", "--workers", "1", "--device", "cpu"]
    assert run(again) == 0
    capsys.readouterr()
    assert run(again) == 0
    assert "Already done" in capsys.readouterr().out


def test_labels_by_neutral_or_original_names_are_found(results, archive, tmp_path):
    from firstscan.steps.annotating.label_maps import match_labels

    names = read_key(results / "batch" / "work" / "key.csv")
    first, second = (names.of("case", f"QX{p}SECRETFOLDER_CT") for p in (0, 1))
    (tmp_path / f"{first}.nii.gz").write_bytes(b"")
    (tmp_path / "QX1SECRETFOLDER_CT_seg.nii.gz").write_bytes(b"")
    assert sorted(match_labels(tmp_path, [first, second], names)) == sorted([first, second])


def test_names_stay_where_that_is_asked_for(archive, tmp_path):
    assert run(["index", str(archive), "--out", str(tmp_path / "plain"), "--no-pseudonyms"]) == 0
    assert "QX0SECRETFOLDER" in (tmp_path / "plain" / "cases.csv").read_text(encoding="utf-8")
    assert not (tmp_path / "plain" / "work" / "key.csv").exists()


@pytest.fixture(scope="module")
def labels(archive, tmp_path_factory):
    """Label maps of all scans but that of one slice, which nobody can annotate in 3D, named as their folders are."""
    folder = tmp_path_factory.mktemp("labels") / "QXSECRETLABELS"
    folder.mkdir()
    for case in fs.index(archive, pseudonyms=False):
        if not case.case_id.startswith("QX7"):
            scan = read_volume(case)
            write_image(folder / f"{case.case_id}.nii.gz", (scan.voxels[0] > 0).astype(np.uint8), scan.affine)
    return folder


def test_a_round_with_a_model_and_its_predictions_name_nobody_either(results, labels, capsys):
    batch, quick = str(results / "batch"), ["--steps", "2", "--members", "1", "--workers", "1"]
    few = labels.parent / "few"
    few.mkdir()
    for path in sorted(labels.glob("*.nii.gz"))[:2]:
        shutil.copyfile(path, few / path.name)
    assert run(["next", batch, "--labels", str(few), "--more", "1", *quick]) == 0
    assert run(["handoff", batch, "--to", "slicer", "--prelabel", "--out", str(results / "prelabelled")]) == 0
    assert secrets_in(results / "batch") == secrets_in(results / "prelabelled") == []
    assert "SECRETF" not in "".join(capsys.readouterr())


def test_results_from_before_neutral_names_are_handed_over_under_their_own(archive, tmp_path, capsys):
    results = tmp_path / "old"
    results.mkdir()
    pick = Pick("QX1SECRETFOLDER_CT", 1, None, None, None, None, "chosen")
    write_selection(results, Selection((pick,), "random", 0, 1), {}, "0.2.0")
    config = {"source": str(archive), "layout": "auto", "channel": [], "only": [], "table": None}
    write_manifest(results, kind="select", version="0.2.0", config=config, inputs={}, files=())
    assert run(["handoff", str(results), "--to", "slicer", "--out", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out" / "images").glob("QX1*"))
    neutral = {**config, "source": "sha256:0123456789abcdef"}
    write_manifest(results, kind="select", version="0.3.0", config=neutral, inputs={}, files=())
    assert run(["handoff", str(results), "--to", "slicer", "--out", str(tmp_path / "lost")]) == 2
    assert "which leads to them, is gone" in capsys.readouterr().err


def test_features_extracted_from_python_keep_the_key(archive, tmp_path):
    out = tmp_path / "features"
    table = fs.extract(fs.index(archive), preset="instant", out=out, workers=1)
    assert all(i.startswith("case-") for i in table.case_ids)
    assert run(["pick", str(out), "--budget", "2", "--out", str(tmp_path / "batch")]) == 0
    assert run(["handoff", str(tmp_path / "batch"), "--to", "slicer", "--out", str(tmp_path / "given")]) == 0
    assert secrets_in(out) == secrets_in(tmp_path / "batch") == secrets_in(tmp_path / "given") == []


def test_a_study_of_such_scans_names_nobody_either(results, archive, labels, tmp_path):
    plan = {
        "pool": {"source": str(archive), "labels": str(labels)},
        "test": {"fraction": 0.34},
        "budgets": [2],
        "strategies": ["random", "strided"],
        "selection_seeds": {"random": 1, "default": 1},
        "segmenter": {"name": "unet", "iterations": 2, "patch": 16, "features": 4},
        "preset": "fast",
        "train_steps": 3,
    }
    (tmp_path / "plan.yaml").write_text(json.dumps(plan))
    out = results / "study"
    assert run(["study", str(tmp_path / "plan.yaml"), "--out", str(out), "--workers", "1"]) == 0
    assert secrets_in(out) == []
    assert run(["rerun", str(out), "random:2:0", "--out", str(tmp_path / "again"), "--workers", "1"]) == 0
