"""Every plan that ships, run from the command line on a tiny cohort with the layout of the released data set."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import yaml

from firstscan.cli import run
from firstscan.imaging import index

SHAPE = (20, 22, 18)
QUICK = {
    "preset": "fast",
    "train_steps": 1,
    "segmenter": {"name": "unet", "iterations": 2, "features": 4, "patch": 16},
    "selection_seeds": {"default": 1},
}
BRATS = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}


def scan(rng, classes, channels=1):
    """Shells of falling value around a centre of its own, in a body, in noise: (channel, x, y, z) and a label map."""
    x = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))
    centre = (np.array(SHAPE) / 2 + rng.uniform(-1.5, 1.5, 3))[:, None, None, None]
    far = np.sqrt(((x - centre) ** 2).sum(0))
    label = np.clip(np.ceil((1 - far / (rng.uniform(0.34, 0.42) * min(SHAPE))) * classes), 0, classes).astype(np.uint8)
    noise = rng.normal(0, 4 + 4 * rng.random(), (channels, *SHAPE))
    step = 40 * np.arange(1, channels + 1)[:, None, None, None]
    return np.where(far < 0.48 * min(SHAPE), 100 + step * label + noise, noise / 5).astype(np.float32), label


def save(path, *volumes):
    """Write volumes as released: axes that run against the canonical ones, several as one 4D file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = []
    for volume in volumes:
        image = sitk.GetImageFromArray(np.ascontiguousarray(volume.T))
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        image.SetOrigin((5, 7, -3))
        images.append(image)
    sitk.WriteImage(images[0] if len(images) == 1 else sitk.JoinSeries(images), str(path), useCompression=True)


def decathlon(root, prefix, channels, classes):
    """Ten labelled scans, two without labels, dataset.json, and the ``._*`` files that the archives hold."""
    rng = np.random.default_rng(0)
    for i in range(12):
        voxels, label = scan(rng, len(classes), len(channels))
        name = f"{prefix}_{i + 1:03d}.nii.gz"
        save(root / ("imagesTr" if i < 10 else "imagesTs") / name, *voxels)
        if i < 10:
            save(root / "labelsTr" / name, label)
            for part in ("imagesTr", "labelsTr"):
                (root / part / f"._{name}").write_bytes(b"resource fork")
    names = {"0": "background"} | {str(i + 1): c for i, c in enumerate(classes)}
    (root / "dataset.json").write_text(json.dumps({"modality": channels, "labels": names, "numTraining": 10}))


def brats(root):
    decathlon(root / "Task01_BrainTumour", "BRATS", BRATS, ["edema", "non-enhancing tumor", "enhancing tumour"])


def spleen(root):
    decathlon(root / "Task09_Spleen", "spleen", {"0": "CT"}, ["spleen"])


def feta(root):
    rng = np.random.default_rng(1)
    for i in range(10):
        voxels, label = scan(rng, 7)
        stem = f"sub-{i + 1:03d}_rec-{'mial' if i < 5 else 'irtk'}"
        folder = root / "feta_2022" / f"sub-{i + 1:03d}" / "anat"
        save(folder / f"{stem}_T2w.nii.gz", *voxels)
        save(folder / f"{stem}_dseg.nii.gz", label)
    rows = "".join(f"sub-{i + 1:03d}\tNeurotypical\t{25 + i / 10}\n" for i in range(10))
    (root / "feta_2022" / "participants.tsv").write_text(f"participant_id\tPathology\tGestational age\n{rows}")


def two_class(root):
    rng = np.random.default_rng(2)
    for part, n in (("pool", 8), ("test", 2)):
        for i in range(n):
            voxels, label = scan(rng, 2)
            save(root / part / "images" / f"{part}{i}.nii.gz", *voxels)
            save(root / part / "labels" / f"{part}{i}.nii.gz", label)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "classes", "channels"),
    [(brats, 3, ["FLAIR", "T1w", "t1gd", "T2w"]), (spleen, 1, ["CT"]), (feta, 7, ["T2w"]), (two_class, 2, ["image"])],
)
def test_a_shipped_plan_runs_on_the_released_layout(make, classes, channels, tmp_path, monkeypatch, capsys):
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    name = make.__name__
    assert run(["plans", name]) == 0
    plan = yaml.safe_load(capsys.readouterr().out)
    Path("mine.yaml").write_text(yaml.safe_dump(plan))
    assert run(["study", "mine.yaml", "--out", "out", "--workers", "1"]) == 2  # not as many scans as the paper had
    assert f"this plan is for {plan['expects']['scans']}" in capsys.readouterr().err
    small = {k: v for k, v in plan.items() if k != "expects"} | {"budgets": ["20%", "30%", "40%"]} | QUICK
    Path("mine.yaml").write_text(yaml.safe_dump(small))
    assert run(["study", "mine.yaml", "--out", "out", "--workers", "1"]) == 0, capsys.readouterr().err
    assert "Open this: out/study.html" in capsys.readouterr().out
    about, plan = json.loads(Path("out/about.json").read_text()), json.loads(Path("out/plan.json").read_text())
    assert (about["name"], about["pool_cases"], about["test_cases"], len(about["classes"])) == (name, 8, 2, classes)
    assert [c.name for c in next(iter(index(plan["pool"]["source"]))).channels] == channels
    scores = pd.read_parquet("out/scores.parquet")
    assert set(scores["status"]) <= {"ok", "one_empty", "both_empty"}
    assert set(scores["class"]) == set(about["classes"])
    labels = {s["label"] for s in plan["strategies"]}
    found = scores.groupby("budget")["strategy"].agg(set).to_dict()
    assert found == {2: labels, 3: labels, 8: {"full supervision"}}  # 20, 30 and 40 % of 8
    predicted = list(Path("out", "work", "scans").glob("*/imagesTs/*.nii.gz"))
    assert len(predicted) == 2 * len(channels)


def test_the_plans_are_listed_and_run_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["plans"]) == 0
    told = capsys.readouterr().out
    assert [line.split(":")[0] for line in told.splitlines()[:4]] == ["brats", "feta", "spleen", "two_class"]
    assert "firstscan plans NAME > mine.yaml" in told
    assert run(["study", "feta", "--out", "out"]) == 2
    assert f"{tmp_path / 'feta_2022'} does not exist" in capsys.readouterr().err
    assert run(["plans", "nope"]) == 2
    assert "there are: brats, feta, spleen, two_class" in capsys.readouterr().err
