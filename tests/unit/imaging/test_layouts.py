from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk
from dicoms import enhanced
from phantoms import head, save

from firstscan.domain.errors import DataError, UsageError
from firstscan.imaging import index, inspect, inspect_header, read_volume


def channels(pool):
    return {case.case_id: [c.name for c in case.channels] for case in pool}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return save(tmp_path_factory.mktemp("scan") / "scan.nii.gz", head((20, 22, 18)))


@pytest.fixture
def put(tmp_path, scan):
    def copy(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(scan, tmp_path / name)
        return tmp_path

    return copy


def test_msd_reads_its_channels_from_the_fourth_axis(tmp_path):
    stack = [sitk.GetImageFromArray(head((20, 22, 18), seed=i).T) for i in range(2)]
    (tmp_path / "imagesTr").mkdir()
    sitk.WriteImage(sitk.JoinSeries(stack), str(tmp_path / "imagesTr" / "a_001.nii.gz"))
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR", "1": "T1w"}}))
    pool = index(tmp_path)
    assert pool.layout == "msd"
    assert channels(pool) == {"a_001": ["FLAIR", "T1w"]}
    volume = read_volume(pool["a_001"])
    np.testing.assert_array_equal(volume.voxels[1], head((20, 22, 18), seed=1))
    assert [c.name for c in index(tmp_path, channels=["T1w"])["a_001"].channels] == ["T1w"]
    forced = index(tmp_path, layout="folder")
    assert [f.code for f in inspect(next(iter(forced)))[1]] == ["not-3d"]


def test_bids_joins_contrasts_and_participants(put):
    root = put(
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_acq-x_T1w.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_FLAIR.nii.gz",
        "sub-02/ses-a/dwi/sub-02_ses-a_dwi.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_dseg.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
    )
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tfull_name\nsub-01\t41\tF\tDoe\nsub-02\tn/a\tM\tRoe\n"
    )
    (root / "sub-01/anat/sub-01_T1w.json").write_text(
        json.dumps({"MagneticFieldStrength": 3, "InstitutionName": "North"})
    )
    pool = index(root)
    assert pool.layout == "bids"
    assert channels(pool) == {"sub-01": ["T1w", "FLAIR"], "sub-02_ses-a": ["T1w", "FLAIR"]}
    assert dict(pool["sub-01"].metadata) == {
        "patient": "sub-01", "age": 41, "sex": "F", "field_strength": 3, "site": "North",
    }  # fmt: skip
    assert pool["sub-02_ses-a"].metadata["age"] is None
    assert {f.code for f in pool.findings} == {"not-a-scan"}
    assert channels(index(root, channels=["FLAIR"])) == {"sub-01": ["FLAIR"], "sub-02_ses-a": ["FLAIR"]}


def test_bids_repeats_are_cases_and_rare_contrasts_are_left_out(put):
    names = [f"sub-{i:02d}/anat/sub-{i:02d}_T1w.nii.gz" for i in range(1, 6)]
    root = put(
        *names,
        "sub-01/anat/sub-01_PDw.nii.gz",
        "sub-09/anat/sub-09_run-1_T1w.nii.gz",
        "sub-09/anat/sub-09_run-2_T1w.nii.gz",
    )
    pool = index(root)
    assert len(pool) == 7
    assert {"sub-09_run-1", "sub-09_run-2"} <= set(pool.case_ids)
    assert {c.name for case in pool for c in case.channels} == {"T1w"}
    assert [f.code for f in pool.findings] == ["contrast-left-out"]


def test_feta(put):
    root = put(
        "sub-001/anat/sub-001_rec-mial_T2w.nii.gz",
        "sub-001/anat/sub-001_rec-mial_dseg.nii.gz",
        "sub-002/anat/sub-002_rec-irtk_T2w.nii.gz",
        "sub-002/anat/sub-002_rec-irtk_dseg.nii.gz",
    )
    pool = index(root)
    assert pool.layout == "feta"
    assert channels(pool) == {"sub-001": ["T2w"], "sub-002": ["T2w"]}


@pytest.mark.parametrize(
    ("layout", "names", "separator"),
    [("brats2023", ("t1n", "t1c", "t2w", "t2f"), "-"), ("brats2021", ("t1", "t1ce", "t2", "flair"), "_")],
)
def test_brats(put, layout, names, separator):
    cases = (
        ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001")
        if layout == "brats2023"
        else ("BraTS2021_00000", "BraTS2021_00002")
    )
    for case in cases:
        root = put(*(f"{case}/{case}{separator}{n}.nii.gz" for n in (*names, "seg")))
    (root / cases[1] / f"{cases[1]}{separator}{names[0]}.nii.gz").unlink()
    pool = index(root)
    assert pool.layout == layout
    assert channels(pool) == {cases[0]: list(names)}
    assert [(f.case_id, f.code, f.measured) for f in pool.findings] == [
        (cases[1], "missing-channel", 3.0),
        ("", "label-map", 2.0),
    ]
    assert len(index(root, channels=[names[1]])) == 2
    if layout == "brats2023":
        assert pool[cases[0]].metadata["patient"] == "BraTS-GLI-00001"


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_gives_ids_channels_and_metadata(put, ending):
    root = put("x/one.nii.gz", "x/two.nii.gz")
    rows = [
        {
            "case_id": "a",
            "t1": "x/one.nii.gz",
            "flair": "x/two.nii.gz",
            "site": "north",
            "age": 41,
            "patient_name": "Doe",
        },
        {"case_id": "b", "t1": "x/two.nii.gz", "flair": "", "site": "south", "age": 33, "patient_name": "Roe"},
    ]
    path = root / f"table{ending}"
    if ending == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    pool = index(path)
    assert pool.layout == "table"
    assert channels(pool) == {"a": ["t1", "flair"]}
    assert dict(pool["a"].metadata) == {"site": "north", "age": 41}
    assert [(f.case_id, f.code) for f in pool.findings] == [("b", "missing-channel")]
    assert inspect(pool["a"])[0] is not None


def test_tables_that_cannot_serve(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,path\na,x.nii\n")
    with pytest.raises(UsageError, match="no column case_id"):
        index(path)
    path.write_text("case_id,age\na,4\n")
    with pytest.raises(UsageError, match="no column of image paths"):
        index(path)
    path.write_text("case_id,path\na,x.nii\na,y.nii\n")
    with pytest.raises(UsageError, match="same case id: a"):
        index(path)
    path.write_text("case_id,path\n")
    with pytest.raises(DataError, match="no row"):
        index(path)
    path.write_text("case_id,path\na,absent.nii\n")
    assert [f.code for f in inspect(next(iter(index(path))))[1]] == ["missing-file"]
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="cannot be read as a table"):
        index(tmp_path / "t.parquet")


def test_hostile_ids_in_a_table_stay_unique(put):
    root = put("one.nii.gz", "two.nii.gz")
    (root / "t.csv").write_text('case_id,path\n"a/b",one.nii.gz\n"a b",two.nii.gz\n')
    ids = index(root / "t.csv").case_ids
    assert len(set(ids)) == 2
    assert not any(set(i) & set("/ \\\n'\"<>") for i in ids)


@pytest.mark.data
def test_one_study_of_four_series_is_one_case_of_four_channels(data_dir):
    pool = index(data_dir / "dicom" / "Study3")
    assert pool.layout == "dicom"
    (case,) = [c for c in pool if len(c.channels) == 4]
    assert {c.name for c in case.channels} == {"T1post", "T1pre_reg", "FLAIR_reg", "T2_reg"}
    assert case.metadata["sex"] == "M"
    assert not any("name" in k.lower() for k in case.metadata)
    volume = read_volume(case)
    for channel, voxels in zip(case.channels, volume.voxels, strict=True):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(channel.path)
        expected = sitk.DICOMOrient(sitk.ReadImage(names), "LPS")
        assert tuple(channel.files) == tuple(names)
        np.testing.assert_allclose(volume.spacing_mm, expected.GetSpacing())
        np.testing.assert_allclose(volume.affine[:3, 3], expected.GetOrigin())
        np.testing.assert_allclose(
            volume.affine[:3, :3] / volume.spacing_mm, np.reshape(expected.GetDirection(), (3, 3))
        )
        np.testing.assert_array_equal(voxels, sitk.GetArrayFromImage(expected).T.astype(np.float32))
    assert volume.modality == "mr"
    assert not [f for f in inspect_header(case) if f.severity == "drop"]


@pytest.mark.data
def test_folders_and_names_of_dicom_files_do_not_matter(data_dir, tmp_path):
    source = sorted((data_dir / "dicom" / "Study3").rglob("*.dcm"))
    for i, path in enumerate(np.random.default_rng(0).permutation([str(p) for p in source])):
        (tmp_path / f"{i % 3}").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / f"{i % 3}" / f"IM{i}")
    pool = index(tmp_path)
    assert sorted(len(c.channels) for c in pool) == [1, 4]
    expected = index(data_dir / "dicom" / "Study3")
    mine, theirs = (next(c for c in p if len(c.channels) == 4) for p in (pool, expected))
    np.testing.assert_array_equal(read_volume(mine).voxels, read_volume(theirs).voxels)


@pytest.mark.data
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("gap", "missing-slices"),
        ("repeat", "repeated-slices"),
        ("tilt", "mixed-orientation"),
        ("scout", "localiser"),
        ("cut", "truncated"),
    ],
)
def test_faults_of_a_series(data_dir, tmp_path, change, code):
    import pydicom

    files = sorted((data_dir / "dicom" / "Study1").rglob("*.dcm"), key=lambda p: int(p.stem))
    for i, path in enumerate(files):
        if change == "gap" and i in {10, 11}:
            continue
        tags = pydicom.dcmread(path)
        if change == "repeat" and i == 5:
            tags.ImagePositionPatient = pydicom.dcmread(files[4]).ImagePositionPatient
        if change == "tilt" and i == 5:
            tags.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
        if change == "scout":
            tags.SeriesDescription = "3-plane localizer"
        tags.save_as(tmp_path / path.name)
        if change == "cut" and i == 5:
            content = (tmp_path / path.name).read_bytes()
            (tmp_path / path.name).write_bytes(content[: len(content) - 500])
    pool = index(tmp_path)
    assert code in {f.code for f in pool.findings}
    assert {f.severity for f in pool.findings} == {"drop"}
    assert len(pool) == 0


def test_enhanced_multi_frame_files_are_sorted_by_position(tmp_path):
    voxels = head((22, 20, 16), scale=900).astype(np.uint16).T  # frame, row, column
    order = np.random.default_rng(0).permutation(16)
    enhanced(tmp_path / "IM0", voxels[order], 2.5 * order)
    pool = index(tmp_path)
    (case,) = pool
    assert [c.name for c in case.channels] == ["T2 enhanced"]
    assert "Nobody" not in str(case)
    volume = read_volume(case)
    np.testing.assert_array_equal(volume.voxels[0], voxels.T)
    assert volume.spacing_mm == pytest.approx((1.2, 0.8, 2.5))
    np.testing.assert_allclose(volume.affine[:3, 3], (10, 20, 0))
    summary, findings = inspect(case)
    assert summary.file_type == "dicom"
    assert not [f for f in findings if f.severity == "drop"]


def test_frames_at_one_position_are_a_time_series(tmp_path):
    voxels = head((22, 20, 16), scale=900).astype(np.uint16).T
    enhanced(tmp_path / "IM0", voxels, np.repeat(np.arange(8), 2))
    (case,) = index(tmp_path)
    assert [f.code for f in inspect(case)[1]] == ["repeated-slices"]


@pytest.mark.data
def test_series_are_chosen_by_what_dicom_says_of_them(data_dir):
    pool = index(data_dir / "dicom", only=["description=*_REG", "modality=MR"])
    assert [[c.name for c in case.channels] for case in pool] == [["T1pre_reg", "FLAIR_reg", "T2_reg"]]
    (note,) = pool.findings
    assert (note.code, note.severity, note.measured) == ("not-asked-for", "note", 4.0)
    with pytest.raises(DataError, match=r"none of the 7 series fits --only modality=CT; there are: modality MR \(7\)"):
        index(data_dir / "dicom", only=["modality=CT"])
    with pytest.raises(UsageError, match=r"--only site: the source does not tell this; it tells: .*scanner"):
        index(data_dir / "dicom", only=["site=A"])


def test_scans_of_a_table_are_chosen_by_its_columns(put):
    root = put("a.nii.gz", "b.nii.gz", "c.nii.gz")
    (root / "t.csv").write_text(
        "case_id,path,site,kind\na,a.nii.gz,North,x\nb,b.nii.gz,South,x\nc,c.nii.gz,,y\nd,,East,y\n"
    )
    assert index(root / "t.csv", only=["site=n*", "site=SOUTH"]).case_ids == ("a", "b")
    pool = index(root / "t.csv", only=["site=n*", "kind=x"])
    assert pool.case_ids == ("a",)
    assert [f.code for f in pool.findings] == ["not-asked-for"]
