"""Every target, checked against its written format."""

import csv
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
import yaml

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.handoff.material import Material
from firstscan.handoff.names import read_names
from firstscan.handoff.registry import WRITERS, writer


def rows(path, delimiter=","):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.parametrize("target", sorted(WRITERS))
@pytest.mark.parametrize("labelled", [False, True])
def test_every_target_writes_every_pick_and_leads_back(world, target, labelled):
    labels = world.labels if labelled else {}
    handed = writer(target)(world.material(labels=labels, classes={"lesion": 1}), world.out, world.link)
    assert handed.target == target
    assert handed.open_this.exists()
    text = "\n".join(p.read_text() for p in world.out.rglob("*.*") if p.suffix in {".csv", ".tsv"})
    assert "b c" in text
    assert "z" in text
    assert not any(p.is_symlink() and not p.exists() for p in world.out.rglob("*"))


class TestNnunet:
    def test_complete_dataset(self, world):
        handed = writer("nnunet")(
            world.material(labels=world.labels, classes={"core": 2, "lesion": 1}), world.out, world.link
        )
        folder = handed.open_this
        assert folder.name == "Dataset001_Mypicks"
        assert json.loads((folder / "dataset.json").read_text()) == {
            "channel_names": {"0": "T1", "1": "FLAIR"},
            "labels": {"background": 0, "lesion": 1, "core": 2},
            "numTraining": 2,
            "file_ending": ".nii.gz",
        }
        names = read_names(folder / "names.csv")
        assert set(names.values()) == {"z", "b c"}
        for name, case_id in names.items():
            assert (folder / "imagesTr" / f"{name}_0000.nii.gz").read_bytes() == f"{case_id} T1".encode()
            assert (folder / "imagesTr" / f"{name}_0001.nii.gz").read_bytes() == f"{case_id} FLAIR".encode()
            assert (folder / "labelsTr" / f"{name}.nii.gz").read_bytes() == f"{case_id} label".encode()
        assert len(list((folder / "imagesTr").iterdir())) == 4

    def test_without_labels_it_says_what_is_awaited(self, world):
        handed = writer("nnunet")(world.material(), world.out, world.link)
        assert "2 label maps into labelsTr" in handed.message
        assert list((handed.open_this / "labelsTr").iterdir()) == []

    def test_some_labels_missing_names_them(self, world):
        with pytest.raises(DataError, match="1 of 2 picks have no label: b c"):
            writer("nnunet")(world.material(labels={"z": world.labels["z"]}), world.out, world.link)

    def test_different_channels_name_both_cases(self, world):
        odd = Case("z", world.pool["z"].channels[:1])
        pool = Pool(world.pool.source, (world.pool["a"], world.pool["b c"], odd))
        with pytest.raises(DataError, match="z has 1 channel"):
            writer("nnunet")(Material(world.selection, pool), world.out, world.link)

    @pytest.mark.parametrize("classes", [{"a": 1, "b": 3}, {"a": 0}, {"a": 1, "b": 1}, {"background": 1}])
    def test_class_values_without_gaps(self, world, classes):
        with pytest.raises(UsageError, match="without gaps"):
            writer("nnunet")(world.material(classes=classes), world.out, world.link)

    def test_ct_keeps_its_name_for_its_own_normalisation(self, world):
        cases = tuple(replace(c, metadata={"modality": "ct"}, channels=c.channels[:1]) for c in world.pool)
        handed = writer("nnunet")(Material(world.selection, Pool("s", cases)), world.out, world.link)
        assert json.loads((handed.open_this / "dataset.json").read_text())["channel_names"] == {"0": "CT"}


def test_monailabel_sorted_order_is_rank_order(world):
    writer("monailabel")(world.material(labels=world.labels), world.out, world.link)
    store = json.loads((world.out / "datastore_v2.json").read_text())
    assert set(store) == {"name", "description", "images_dir", "labels_dir", "objects"}
    assert (store["images_dir"], store["labels_dir"]) == (".", "labels")
    served = sorted(store["objects"])
    assert [store["objects"][i]["image"]["info"]["rank"] for i in served] == [1, 2]
    assert [store["objects"][i]["image"]["info"]["case_id"] for i in served] == ["z", "b c"]
    for i in served:
        assert (world.out / f"{i}{store['objects'][i]['image']['ext']}").exists()
        assert (world.out / "labels" / "final" / f"{i}.nii.gz").exists()
        assert store["objects"][i]["image"]["info"]["reason"]


def test_mitk_task_list(world):
    handed = writer("mitk")(world.material(), world.out, world.link)
    content = json.loads(handed.open_this.read_text())
    assert (content["FileFormat"], content["Version"]) == ("MITK Segmentation Task List", 1)
    assert [t["Name"] for t in content["Tasks"]] == ["1. z", "2. b c"]
    assert content["Tasks"][1]["Description"] == "Ünusual <&>"
    assert len({t["Result"] for t in content["Tasks"]}) == 2
    assert all((world.out / t["Image"]).exists() for t in content["Tasks"])


def test_slicer_case_iterator(world):
    handed = writer("slicer")(world.material(labels=world.labels), world.out, world.link)
    table = rows(handed.open_this)
    assert [r["ID"] for r in table] == ["z", "b c"]
    assert all((world.out / r[c]).exists() for r in table for c in ("image", "image2", "mask"))


def test_slicercart(world):
    handed = writer("slicercart")(world.material(), world.out, world.link)
    cases = yaml.safe_load(handed.open_this.read_text())["CASES"]
    assert [c.startswith("images/z") for c in cases] == [True, False]
    assert all((world.out / c).exists() for c in cases)


def test_itksnap_workspace(world):
    writer("itksnap")(world.material(), world.out, world.link)
    first, second = sorted(world.out.glob("*.itksnap"))
    assert first.name.startswith("001_z")
    root = ET.parse(second).getroot()
    assert root.tag == "registry"
    entries = {e.get("key"): e.get("value") for e in root.findall("entry")}
    assert entries["SaveLocation"] == str(world.out)
    layers = root.find("folder[@key='Layers']")
    found = {
        layer.get("key"): {e.get("key"): e.get("value") for e in layer.findall("entry")}
        for layer in layers.findall("folder")
    }
    assert found["Layer[000]"]["Role"] == "MainRole"
    assert found["Layer[001]"]["Role"] == "OverlayRole"
    assert (world.out / "images" / "b_c_0000.nii.gz").samefile(found["Layer[000]"]["AbsolutePath"])


def test_bids_derivative(world):
    writer("bids")(world.material(labels=world.labels), world.out, world.link)
    description = json.loads((world.out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert {"Name", "BIDSVersion", "GeneratedBy", "SourceDatasets"} <= set(description)
    people = rows(world.out / "participants.tsv", "\t")
    assert [(p["participant_id"], p["case_id"]) for p in people] == [("sub-z", "z"), ("sub-bc", "b c")]
    for p in people:
        stem = world.out / p["participant_id"] / "anat" / p["participant_id"]
        assert all(stem.with_name(f"{stem.name}{e}.nii.gz").exists() for e in ("_T1w", "_FLAIR", "_dseg"))


def test_bids_names_an_unknown_contrast_in_its_own_letters(world):
    case = Case("z", (Channel("odd name", world.pool["z"].path),))
    pool = Pool("s", (case, world.pool["b c"]))
    writer("bids")(Material(world.selection, pool), world.out, world.link)
    assert (world.out / "sub-z" / "anat" / "sub-z_acq-oddname_MRI.nii.gz").exists()


def test_tables(world):
    picks = rows(writer("csv")(world.material(), world.out, world.link).open_this)
    assert [(r["rank"], r["case_id"]) for r in picks] == [("1", "z"), ("2", "b c")]
    series = rows(writer("dicom-list")(world.material(), world.out, world.link).open_this)
    assert len(series) == 4
    assert series[0]["series_uid"] == "1.2.3"
