from __future__ import annotations

import csv

import numpy as np

from firstscan.cli import run
from firstscan.domain.case import Case, Channel
from firstscan.domain.pool import Pool
from firstscan.imaging import write_image
from firstscan.steps.measuring.index import described
from firstscan.store import read_findings


def test_what_was_found_is_said_and_what_was_left_out_is_listed(tmp_path, capsys):
    for name in ("scans/a", "scans/b", "labels/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / f"{name}.nii.gz", np.zeros((4, 4, 4), np.float32), np.eye(4))
    assert run(["index", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Read as layout folder." in said
    assert "Channels: one, without a name (2 scans)." in said
    assert "2 scan(s) found.\n" in said  # none was read, so none is called usable
    assert "1 × label-map: 1 file(s) look like label maps" in said
    assert [f.code for f in read_findings(tmp_path / "out" / "findings.csv")] == ["label-map", "own-results"]
    with (tmp_path / "out" / "cases.csv").open() as file:
        assert [row["case_id"] for row in csv.DictReader(file)] == ["a", "b"]


def test_a_summary_names_no_patient():
    kinds = (("T1", "T2"), ("T1",), ("T1", "T2"))
    cases = tuple(
        Case(f"c{i}", tuple(Channel(n, "x") for n in names), {"patient": f"Smith{i}", "site": "North" if i else None})
        for i, names in enumerate(kinds)
    )
    lines = described(Pool("/scans", cases, layout="dicom"))
    assert lines == (
        "Read as layout dicom.",
        "Channels: T1, T2 (2 scans); T1 (1 scan).",
        "Known of the scans:",
        "  patient: 3 different values",
        "  site: North (2); not known for 1",
    )


def test_the_findings_of_a_check_follow_a_corrected_table(tmp_path):
    (tmp_path / "scans").mkdir()
    write_image(tmp_path / "scans" / "a.nii.gz", np.random.default_rng(0).random((9, 9, 9), np.float32), np.eye(4))
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    command = ["check", str(tmp_path / "scans"), "--table", str(sheet), "--out", str(out), "--workers", "1"]
    for rows, expected in (("a,N\nzzz,S\n", ["table-no-scan"]), ("a,N\n", [])):
        sheet.write_text(f"case_id,site\n{rows}")
        assert run(command) == 0
        found = [f.code for f in read_findings(out / "findings.csv")]
        assert [code for code in found if code.startswith("table")] == expected
    assert run(command) == 0
