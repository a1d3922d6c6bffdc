"""A spreadsheet beside the scans: its columns joined by case id, and whatever can be wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import DataError, UsageError
from firstscan.imaging import index, write_image
from firstscan.imaging.sources.tabular import columns_of, join, read_rows, read_sheet

IDS = ("a", "b", "c")


def read_columns(path, known, left_out=()):
    return columns_of(read_sheet(path), known, left_out)


@pytest.fixture
def written(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def cases(**metadata):
    return tuple(Case(i, (Channel("image", f"{i}.nii.gz"),), metadata) for i in IDS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "case_id,site,minutes,note\nb,North,12.5,\na,South,7,x\nc,,,\n,,,\n"),
        ("t.csv", "\ufeffcase_id;site;minutes;note\r\nb;North;12.5;\r\na;South;7;x\r\nc;;;\r\n"),
        ("t.tsv", "case_id\tsite\tminutes\tnote\nb\tNorth\t12.5\t\na\tSouth\t7\tx\nc\t\t\t\n"),
    ],
)
def test_columns_are_joined_by_case_id(written, name, text):
    columns = read_columns(written(text, name), IDS)
    assert columns.names == ("site", "minutes", "note")
    assert columns.rows["a"] == {"site": "South", "minutes": 7, "note": "x"}
    assert columns.rows["b"] == {"site": "North", "minutes": 12.5, "note": None}
    assert columns.rows["c"] == {"site": None, "minutes": None, "note": None}
    assert columns.findings == ()


def test_columns_that_a_spreadsheet_leaves_behind_are_none_but_nothing_in_them_is_lost(written):
    rows = read_rows(written("case_id, site ,,\na,N,,\nb,S,,\n"))
    assert rows == [{"case_id": "a", "site": "N"}, {"case_id": "b", "site": "S"}]
    rows = read_rows(written("case_id,site,,\na,N,,x\nb,S,,\n"))
    assert rows[0] == {"case_id": "a", "site": "N", "column 4": "x"}


@pytest.mark.parametrize(
    "text",
    [
        "case_id, path, note\na, x.nii, 1 2\nb, y.nii ,\n",
        "sep=;\r\ncase_id;path;note\r\na;x.nii;1 2\r\nb;y.nii;\r\n",
        '\ufeff"sep=;"\r\ncase_id;path;note\r\na;x.nii;1 2\r\nb;y.nii;\r\n',
        "sep=\t\ncase_id\tpath\tnote\na\tx.nii\t1 2\nb\ty.nii\t\n",
        "sep=,;;\ncase_id,path,note\na,x.nii,1 2\nb,y.nii,\n",
        'case_id, path, note\na, "x.nii", 1 2\n b , y.nii, \n',
    ],
)
def test_habits_of_spreadsheets(written, text):
    assert read_rows(written(text)) == [
        {"case_id": "a", "path": "x.nii", "note": "1 2"},
        {"case_id": "b", "path": "y.nii", "note": ""},
    ]


def test_lines_are_counted_from_the_first_also_below_a_stated_separator(written):
    with pytest.raises(DataError, match="line 3: more values than columns"):
        read_rows(written("sep=;\ncase_id;path\na;b;c\n"))


def test_columns_of_label_maps_are_no_channels(tmp_path, written):
    for name in ("1", "1_seg"):
        write_image(tmp_path / f"{name}.nii.gz", np.ones((4, 4, 4), np.float32), np.eye(4))
    for column in ("mask", "truth"):
        pool = index(written(f"case_id,image,{column}\na,1.nii.gz,1_seg.nii.gz\n", "source.csv"))
        assert [[c.name for c in case.channels] for case in pool] == [["image"]]
        assert [(f.code, f.severity) for f in pool.findings] == [("label-map", "note")]


def test_parquet_with_numbers_for_ids(tmp_path):
    pq.write_table(pa.table({"case_id": [1, 2], "site": ["N", None]}), tmp_path / "t.parquet")
    columns = read_columns(tmp_path / "t.parquet", ("1", "2"))
    assert columns.rows == {"1": {"site": "N"}, "2": {"site": None}}


def test_names_are_found_by_the_safe_ids_made_of_them(written):
    columns = read_columns(written("case_id,site\nscan 1,N\nb,S\n"), ("scan_1", "b"))
    assert columns.rows["scan_1"] == {"site": "N"}


def test_ids_that_only_differ_in_unsafe_characters_are_those_of_the_scans(tmp_path, written):
    for name in ("1", "2"):
        write_image(tmp_path / f"{name}.nii.gz", np.ones((4, 4, 4), np.float32), np.eye(4))
    source = written("case_id,path\na b,1.nii.gz\na_b,2.nii.gz\n", "source.csv")
    pool = index(source, table=written("case_id,site\na_b,N\na b,S\n", "more.csv"))
    assert sorted(str(case.metadata["site"]) + Path(case.path).name[0] for case in pool) == ["N2", "S1"]
    assert not pool.findings


def test_of_two_names_for_one_scan_its_own_counts_and_the_other_is_said(written):
    for rows in ("a,N\n.a,S\n", ".a,S\na,N\n"):
        columns = read_columns(written(f"case_id,site\n{rows}"), ("a",))
        assert columns.rows == {"a": {"site": "N"}}
        assert columns.findings[0].message == "1 of 2 rows of table.csv name no scan: .a"


def test_what_does_not_fit_is_a_finding(written):
    path = written("case_id,site\na,N\nB0,S\ngone,S\nlost,S\n")
    columns = read_columns(path, ("a", "b0", "c"), left_out=["lost"])
    rowless, scanless = columns.findings
    assert (rowless.code, rowless.severity, rowless.measured) == ("table-no-row", "warn", 2.0)
    assert rowless.message == "2 of 3 scans have no row in table.csv: b0, c"
    assert (scanless.code, scanless.severity, scanless.measured) == ("table-no-scan", "warn", 2.0)
    assert scanless.message.startswith("2 of 4 rows of table.csv name no scan: B0, gone")


def test_the_table_wins_over_the_source_and_says_so(written):
    joined, (note,) = join(cases(site="Z", age=3), read_sheet(written("case_id,site,age\na,N,3\nb,,3\nc,S,3\n")))
    assert [dict(case.metadata) for case in joined] == [
        {"site": "N", "age": 3},
        {"site": "Z", "age": 3},
        {"site": "S", "age": 3},
    ]
    assert (note.code, note.severity, note.measured) == ("table-replaces", "note", 2.0)


def test_a_list_of_the_scans_can_be_completed_and_handed_back(written):
    text = "case_id,path,channels,files,site\na,x/a.nii.gz,image,1,N\nb,x/b.nii.gz,image,1,S\nc,x/c.nii.gz,image,1,S\n"
    assert read_columns(written(text), IDS).names == ("site",)
    assert read_columns(written("case_id,path\na,x\nb,y\nc,z\n"), IDS).names == ("path",)


@pytest.mark.parametrize("column", ["Patient Name", "name of patient", "birth_date", "Date of birth", "home address"])
def test_what_names_or_places_a_person_is_not_taken_and_that_is_said(written, column):
    columns = read_columns(written(f"case_id,{column},site,filename\na,Doe,N,x\nb,Roe,S,y\nc,Poe,S,z\n"), IDS)
    assert columns.names == ("site", "filename")
    (note,) = columns.findings
    assert (note.code, note.severity) == ("table-private", "note")
    assert note.message.endswith(f"not taken: {column}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,site\na,N\n", "no column case_id; it has id, site"),
        ("case_id\na\n", "no column besides case_id"),
        ("", "it holds no row"),
        ("case_id,site\n", "it holds no row"),
        ("case_id,site\na,N\n ,S\n", r"1 row\(s\) without case_id"),
        ("case_id,site\na,N\na,S\n", "two rows with the same case_id: a"),
        ("Case_ID,site\na,N\n", "no column case_id; it has Case_ID, site .write Case_ID as case_id."),
        (
            "case_id,site\nx,N\ny,S\n",
            "no row names a scan of the pool. Its case_id reads x, y; the scans are called a, b",
        ),
    ],
)
def test_tables_that_cannot_be_joined(written, text, message):
    with pytest.raises(UsageError, match=message):
        read_columns(written(text), IDS)


def test_files_that_are_no_tables(written, tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        read_columns(tmp_path / "nothing.csv", IDS)
    with pytest.raises(UsageError, match=r"a table ends in \.csv, \.tsv, \.parquet; save it as one of them"):
        read_columns(written(b"PK", "t.xlsx"), IDS)
    with pytest.raises(DataError, match="not text in UTF-8"):
        read_rows(written("case_id,site\na,Köln\n".encode("latin-1")))
    with pytest.raises(DataError, match="line 3: more values than columns"):
        read_rows(written("case_id,site\na,N\nb,S,too much\n"))
    with pytest.raises(DataError, match="has two columns 'site'"):
        read_rows(written("case_id,site,site\na,N,S\n"))
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_rows(written(b"PAR1", "t.parquet"))


def test_scans_of_a_folder_are_chosen_by_a_column_of_the_table(tmp_path, written):
    (tmp_path / "scans").mkdir()
    for name in IDS:
        write_image(tmp_path / "scans" / f"{name}.nii.gz", np.ones((4, 4, 4), np.float32), np.eye(4))
    table = written("case_id,site\na,N\nb,S\nc,N\n")
    pool = index(tmp_path / "scans", table=table, only=["site=n"])
    assert pool.case_ids == ("a", "c")
    assert [case.metadata["site"] for case in pool] == ["N", "N"]


@pytest.mark.data
def test_dicom_series_are_chosen_by_both_what_they_tell_and_the_table(data_dir, written):
    ids = index(data_dir / "dicom").case_ids
    table = written("case_id,group\n" + "".join(f"{i},{'b' if n else 'a'}\n" for n, i in enumerate(ids)))
    assert index(data_dir / "dicom", table=table, only=["group=a", "modality=MR"]).case_ids == ids[:1]
    with pytest.raises(UsageError, match="--only nothing: the source does not tell this"):
        index(data_dir / "dicom", table=table, only=["nothing=a"])
