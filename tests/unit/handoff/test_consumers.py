"""Hand-offs held against those who read them: the real ones where they are installed, else a written format."""

import csv
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import jsonschema
import pytest

from firstscan.domain.case import Case
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection
from firstscan.handoff.material import Material
from firstscan.handoff.registry import writer

MITK = {
    "type": "object",
    "required": ["FileFormat", "Version", "Tasks"],
    "additionalProperties": False,
    "properties": {
        "FileFormat": {"const": "MITK Segmentation Task List"},
        "Version": {"const": 1},
        "Name": {"type": "string"},
        "Defaults": {"type": "object", "properties": {"Result": False, "LabelNameSuggestions": {"type": "string"}}},
        "Tasks": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["Image", "Result"],
                "additionalProperties": False,
                "properties": {
                    name: {"type": "string"} for name in ("Name", "Description", "Image", "Result", "Segmentation")
                },
            },
        },
    },
}
"""MITK documentation, Segmentation Task Lists, version 1."""

MONAILABEL = {
    "type": "object",
    "required": ["name", "description", "images_dir", "labels_dir", "objects"],
    "additionalProperties": False,
    "properties": {
        "images_dir": {"const": "."},
        "labels_dir": {"const": "labels"},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "objects": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9_-]+$"},
            "additionalProperties": {
                "type": "object",
                "required": ["image", "labels"],
                "properties": {
                    "image": {"$ref": "#/$defs/data"},
                    "labels": {"type": "object", "additionalProperties": {"$ref": "#/$defs/data"}},
                },
            },
        },
    },
    "$defs": {
        "data": {
            "type": "object",
            "required": ["ext", "info"],
            "properties": {"ext": {"const": ".nii.gz"}, "info": {"type": "object"}},
        }
    },
}
"""LocalDatastoreModel of monailabel 0.8.5."""

READ_DATASTORE = """
import json, sys
from monailabel.datastore.local import LocalDatastore
store = LocalDatastore(sys.argv[1], extensions=("*.nii.gz", "*.nii"))
print(json.dumps({
    "all": sorted(store.list_images()), "open": sorted(store.get_unlabeled_images()),
    "info": {i: store.get_image_info(i) for i in store.list_images()}, "pairs": len(store.datalist()),
}))
"""


@pytest.mark.parametrize("labelled", [False, True])
def test_mitk_task_list_is_to_the_format(world, labelled):
    material = world.material(labels=world.labels if labelled else {}, classes={"lesion": 1} if labelled else {})
    content = json.loads(writer("mitk")(material, world.out, world.link).open_this.read_text())
    jsonschema.validate(content, MITK)
    files = [t[k] for t in content["Tasks"] for k in ("Image", "Segmentation") if k in t]
    assert len(files) == (4 if labelled else 2)
    assert all((world.out / f).is_file() for f in files)
    assert len(list((world.out / "extra").iterdir())) == 2
    if labelled:
        assert json.loads((world.out / content["Defaults"]["LabelNameSuggestions"]).read_text()) == [{"name": "lesion"}]


@pytest.mark.parametrize("labelled", [False, True])
def test_monailabel_datastore_is_to_the_format(world, labelled):
    writer("monailabel")(world.material(labels=world.labels if labelled else {}), world.out, world.link)
    jsonschema.validate(json.loads((world.out / "datastore_v2.json").read_text()), MONAILABEL)


def test_monailabel_s_own_datastore_serves_the_picks_in_rank_order(world):
    python = os.environ.get("FIRSTSCAN_MONAILABEL")
    if not python:
        pytest.skip("set FIRSTSCAN_MONAILABEL to the python of an environment that holds the package monailabel")
    writer("monailabel")(world.material(labels={"z": world.labels["z"]}), world.out, world.link)
    for _ in range(2):  # the second time it reads what it wrote itself
        done = subprocess.run(
            [python, "-c", READ_DATASTORE, str(world.out)],
            capture_output=True,
            text=True,
            check=True,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )
        store = json.loads(done.stdout.splitlines()[-1])
        assert [store["info"][i]["case_id"] for i in store["all"]] == ["z", "b c"]
        assert (store["open"], store["pairs"]) == (["002_b_c"], 1)
        assert all(store["info"][i]["reason"] for i in store["all"])


def test_ranks_of_a_part_of_a_large_batch_still_sort(world):
    picks = (Pick("z", 7, None, None, None, None, "x"), Pick("b c", 1_200, None, None, None, None, "y"))
    material = Material(Selection(picks, "cscs", 1, 2), world.pool)
    writer("monailabel")(material, world.out, world.link)
    assert sorted(json.loads((world.out / "datastore_v2.json").read_text())["objects"]) == ["0007_z", "1200_b_c"]


def test_slicer_case_iterator_finds_the_columns_that_it_looks_for_unasked(world):
    table = writer("slicer")(world.material(labels=world.labels), world.out, world.link).open_this
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"path", "image", "mask", "ID"} <= set(rows[0])
    for row in rows:
        for column in ("image", "mask", "image2"):
            assert (world.out / row["path"] / row[column]).is_file()


def test_itk_snap_opens_an_existing_label_map_as_the_segmentation(world):
    writer("itksnap")(world.material(labels=world.labels), world.out, world.link)
    layers = ET.parse(sorted(world.out.glob("*.itksnap"))[0]).getroot().find("folder[@key='Layers']")
    found = [{e.get("key"): e.get("value") for e in layer.findall("entry")} for layer in layers.findall("folder")]
    assert [layer["Role"] for layer in found] == ["MainRole", "OverlayRole", "SegmentationRole"]
    assert found[-1]["AbsolutePath"] == str(world.out / "segmentations" / "z.nii.gz")


def test_bids_tells_channels_apart_that_it_spells_alike(world):
    channels = tuple(replace(c, name=n) for c, n in zip(world.pool["z"].channels, ("T1", "t1w"), strict=True))
    pool = Pool("s", (Case("z", channels), world.pool["b c"]))
    handed = writer("bids")(Material(world.selection, pool), world.out, world.link)
    assert [p.name for _, p in handed.items[0].images] == ["sub-z_run-1_T1w.nii.gz", "sub-z_run-2_T1w.nii.gz"]


def test_bids_names_every_column_and_what_is_no_part_of_the_data_set(world):
    writer("bids")(world.material(), world.out, world.link)
    header = (world.out / "participants.tsv").read_text().splitlines()[0].split("\t")
    assert set(json.loads((world.out / "participants.json").read_text())) == set(header) - {"participant_id"}
    assert {"manifest.json", "handoff.json", "work"} <= set((world.out / ".bidsignore").read_text().split())


def test_the_bids_validator_finds_no_error(world):
    program = os.environ.get("FIRSTSCAN_BIDS_VALIDATOR")
    if not program:
        pytest.skip("set FIRSTSCAN_BIDS_VALIDATOR to the program bids-validator-deno")
    writer("bids")(world.material(labels=world.labels), world.out, world.copy)
    for name in ("manifest.json", "handoff.json", "work/log.jsonl"):
        (world.out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(world.out / "participants.json", world.out / name)
    done = subprocess.run(
        [program, str(world.out), "--ignoreNiftiHeaders", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [i for i in json.loads(done.stdout)["issues"]["issues"] if i.get("severity") == "error"]
    not_known = {"SkullStripped"}  # whether a scan was skull-stripped before it came to us
    assert [e for e in errors if e["code"] != "EMPTY_FILE" and e.get("subCode") not in not_known] == []
