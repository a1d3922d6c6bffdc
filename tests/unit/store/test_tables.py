import csv
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Pick, Selection
from firstscan.store import (
    read_features,
    read_findings,
    read_selection,
    write_features,
    write_findings,
    write_selection,
)


def table(n=5, dim=3, dtype=np.float32, **columns):
    rng = np.random.default_rng(0)
    return FeatureTable(
        tuple(f"c{i}" for i in range(n)), rng.normal(size=(n, dim)).astype(dtype), rng.random(n), None, columns
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_round_trip(tmp_path, dtype):
    features = table(
        dtype=dtype,
        site=np.array(["a", "b", "a", "", "ü"]),
        voxel_count=np.arange(5),
        spacing_mm=np.array([1, 2, np.nan, 4, 5.0]),
        typicality=np.arange(5.0),
    )
    path = tmp_path / "features.parquet"
    write_features(path, features)
    back = read_features(tmp_path)
    assert back.case_ids == features.case_ids
    np.testing.assert_array_equal(back.embeddings, features.embeddings)
    assert back.embeddings.dtype == dtype
    np.testing.assert_array_equal(back.uncertainty, features.uncertainty)
    assert back.typicality is None
    assert set(back.covariates) == set(features.covariates)
    for name, values in features.covariates.items():
        np.testing.assert_array_equal(back.covariates[name], values)
    first = path.read_bytes()
    write_features(path, features)
    assert path.read_bytes() == first


def test_feature_groups_and_a_table_without_uncertainty_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    groups = {"appearance": rng.normal(size=(5, 7)).astype(np.float32), "shape": rng.normal(size=(5, 4))}
    whole = replace(table(appearance=np.arange(5)), groups=groups, geometry=rng.normal(size=(5, 24)))
    for name, features in {"with": whole, "without": replace(whole, uncertainty=None)}.items():
        write_features(tmp_path / name, features)
        back = read_features(tmp_path / name)
        assert list(back.groups) == list(groups)
        for group, values in groups.items():
            np.testing.assert_allclose(back.groups[group], values, rtol=1e-6)
        np.testing.assert_array_equal(back.embeddings, features.embeddings)
        np.testing.assert_array_equal(back.geometry, features.geometry)
        np.testing.assert_array_equal(back.covariates["appearance"], np.arange(5))  # a column of that name stays one
        assert (back.uncertainty is None) == (name == "without")
        first = (tmp_path / name).read_bytes()
        write_features(tmp_path / name, back)
        assert (tmp_path / name).read_bytes() == first


def test_uncertainty_may_be_absent_only_where_the_file_says_so(tmp_path):
    pq.write_table(pa.table({"case_id": ["a"], "embedding": [[1.0]]}), tmp_path / "own.parquet")
    with pytest.raises(DataError, match=r"lacks the column\(s\) uncertainty"):
        read_features(tmp_path / "own.parquet")


def test_a_plain_parquet_of_another_program_is_read(tmp_path):
    path = tmp_path / "own.parquet"
    pq.write_table(
        pa.table({"case_id": ["a", "b"], "embedding": [[1.0, 2.0], [3.0, 4.0]], "uncertainty": [0.1, 0.2]}), path
    )
    features = read_features(path)
    np.testing.assert_array_equal(features.embeddings, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"case_id": ["a"]}, "lacks the column"),
        ({"case_id": ["a", "b"], "embedding": [[1.0, 2.0, 3.0], [3.0]], "uncertainty": [0.1, 0.2]}, "differ in length"),
        ({"case_id": ["a"], "embedding": [[1.0]], "uncertainty": [None]}, "one number a case"),
        ({"case_id": ["a"], "embedding": [["x"]], "uncertainty": [0.5]}, "one list of numbers"),
    ],
)
def test_a_wrong_table_is_explained(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=message):
        read_features(tmp_path / "x.parquet")


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(UsageError, match="firstscan extract"):
        read_features(tmp_path / "none.parquet")
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(DataError, match="not a readable Parquet"):
        read_features(tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="firstscan select"):
        read_selection(tmp_path)
    (tmp_path / "selection.json").write_text("{}")
    with pytest.raises(DataError, match="not a selection"):
        read_selection(tmp_path)


def test_selection_round_trip(tmp_path):
    picks = (
        Pick("b", 1, 0, 0.1 + 0.2, 1.5, 2.5, 'typical, "hard"'),
        Pick("a", 2, None, None, None, None, "drawn at random"),
    )
    selection = Selection(
        picks, "cscs", 7, 2, {"dcr": float("nan"), "gamma": np.float64(0.5)}, {"k": 1}, {"a": 1}, {"a": 0.5}
    )
    write_selection(tmp_path, selection, {"a": ["/x/a.nii", "/x/a2.nii"], "b": ["/x/b.nii"]}, "9.9")
    back = read_selection(tmp_path)
    assert back.picks == picks
    assert back.diagnostics == {"dcr": None, "gamma": 0.5}
    assert back.strata == {"a": 1}
    with (tmp_path / "selection.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["case_id"] for r in rows] == ["b", "a"]
    assert float(rows[0]["score"]) == 0.1 + 0.2
    assert rows[1]["score"] == ""
    assert rows[1]["path"] == "/x/a.nii"
    assert read_selection(tmp_path / "selection.csv") == back


def test_findings_round_trip_sorted(tmp_path):
    findings = [
        Finding("constant", "warn", "b", "flat, or nearly", "look at it", "b.nii", 0.0, 1.5),
        Finding("unreadable", "drop", "a", 'says "no"', "convert it", "a.nii"),
    ]
    write_findings(tmp_path / "findings.csv", [*findings, findings[0]])
    assert read_findings(tmp_path / "findings.csv") == (findings[1], findings[0])
    write_findings(tmp_path / "findings.csv", [])
    assert read_findings(tmp_path / "findings.csv") == ()
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="lacks"):
        read_findings(tmp_path / "x.csv")
