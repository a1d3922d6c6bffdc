"""The round after labels came back: trained or given predictions, the grown batch, what is refused and what is said."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.imaging import write_image
from firstscan.segmentation.grids import read_grid, read_labels
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.origin import note_origin
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import run_pick
from firstscan.steps.steering.amend import replace
from firstscan.steps.training.next_round import NextConfig, run_next
from firstscan.store import read_manifest, verified, write_features

NOW = Settings(workers=1)
SHAPE = (12, 11, 10)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
IDS = tuple(f"s{i}" for i in range(8))
PICKED = ("s0", "s1")


def make_world(root: Path) -> SimpleNamespace:
    """Eight scans with a bright ball, a batch of two of them, and label maps of the two."""
    images, labels = root / "images", root / "labels"
    images.mkdir()
    labels.mkdir()
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    balls = {}
    for i, case_id in enumerate(IDS):
        balls[case_id] = (grid**2).sum(axis=0) < 0.2 + 0.05 * i
        voxels = np.where(balls[case_id], 100, 0) + rng.normal(0, 5, SHAPE)
        write_image(images / f"{case_id}.nii.gz", voxels.astype(np.float32), AFFINE)
    for case_id in PICKED:
        write_image(labels / f"{case_id}.nii.gz", balls[case_id].astype("uint8"), AFFINE)
    table = FeatureTable(IDS, rng.normal(size=(8, 4)), rng.random(8))
    write_features(root / "own.parquet", table)
    others = tuple(i for i in IDS if i not in PICKED)
    run_pick(root / "own.parquet", PickConfig(budget=2, include=PICKED, exclude=others[-1:]), root / "out", NOW)
    note_origin(root / "out", root, IndexConfig(source=str(images)))
    return SimpleNamespace(root=root, images=images, labels=labels, balls=balls, out=root / "out")


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


def predict(world, case_ids=IDS, place="predicted", classes=2, sure=None, **change) -> Path:
    """Write what another program predicts: the ball, the less sure the higher the scan's number."""
    folder = world.root / place
    folder.mkdir(parents=True, exist_ok=True)
    for i, case_id in enumerate(IDS):
        if case_id in case_ids:
            p = np.where(world.balls[case_id], (0.99 - 0.04 * i) if sure is None else sure, 0.01)
            p = np.stack([1 - p, *(p * (c == 1) for c in range(1, classes))])
            p = change.get("of", lambda p: p)(p)
            np.savez(folder / f"{case_id}.npz", probabilities=p.transpose(0, 3, 2, 1).astype(np.float16))
    return folder


def go(world, more=2, **config):
    config = {"labels": world.labels, "rule": "entropy", **config}
    return run_next(world.out, NextConfig.of(more=more, **config), NOW)


def given(world, **config):
    return go(world, predictions=predict(world), **config)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def results(out: Path) -> dict[str, bytes]:
    return {name: held for name, held in contents(out).items() if not name.startswith("work")}


def test_another_program_s_least_sure_scans_are_added(world):
    done = given(world)
    assert done.selection.case_ids == (*PICKED, "s6", "s5")  # s7 is excluded
    assert fs.read_selection(world.out).case_ids == done.selection.case_ids
    told = done.selection.diagnostics["rounds"][0]
    assert (told["labels"], told["members"], told["predicted"]) == (2, 1, 5)
    assert told["options"] == {"aggregate": "foreground"}
    manifest = read_manifest(world.out)
    assert verified(world.out, manifest)
    entry = manifest.config["amendments"][0]
    assert (entry["next"], entry["before"], entry["labelled"]) == (2, 2, list(PICKED))


def test_predictions_of_the_new_picks_are_kept_as_such(world):
    given(world)
    folder = world.out / "predictions"
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["case_id"], r["round"]) for r in rows] == [("s6", "1"), ("s5", "1")]
    values, grid = read_labels(folder / rows[0]["label"])
    assert (values == world.balls["s6"]).all()
    assert not grid.difference(read_grid(world.images / "s6.nii.gz"))
    assert "not annotations" in json.loads((folder / "dataset.json").read_text())["description"]
    assert verified(folder, read_manifest(folder))


def test_the_same_command_again_does_nothing_and_other_labels_make_another_round(world):
    once = given(world)
    before = contents(world.out)
    again = given_again(world)
    assert again.already
    assert again.added == 2
    after = contents(world.out)
    assert {n for n in after if after[n] != before.get(n)} <= {"work/log.jsonl", "work/run.json"}
    write_image(world.labels / "s6.nii.gz", world.balls["s6"].astype("uint8"), AFFINE)
    third = go(world, more=1, predictions=world.root / "predicted")
    assert third.selection.case_ids[:4] == once.selection.case_ids
    assert [r["labels"] for r in third.selection.diagnostics["rounds"]] == [2, 3]
    with (world.out / "predictions" / "predictions.csv").open(newline="") as file:
        rounds = {r["case_id"]: r["round"] for r in csv.DictReader(file)}
    assert rounds == {"s6": "1", "s5": "2", third.selection.case_ids[4]: "2"}  # s5 is not labelled yet: predicted anew


def given_again(world):
    return go(world, predictions=world.root / "predicted")


def test_unet_is_trained_and_kept_for_another_rule(world):
    done = go(world, rule="bald", members=2, steps=2)
    assert len(done.selection) == 4
    assert done.selection.diagnostics["rounds"][0]["model"] == "unet"
    models = sorted((world.out / "work" / "models").glob("*/seed-*/unet.pt"))
    assert len(models) == 2
    stamps = [p.stat().st_mtime_ns for p in models]
    measures = sorted((world.out / "work" / "predictions").iterdir())
    assert len(measures) == 5
    other = go(world, more=1, rule="vaal", members=2, steps=2)
    assert len(other.selection) == 5
    assert [p.stat().st_mtime_ns for p in models] == stamps
    assert sorted((world.out / "work" / "predictions").iterdir()) == measures


def test_replace_goes_on_after_a_round_and_its_pick_does_not_come_back(world):
    done = given(world)
    after = replace(world.out, "s6", "motion", NOW)
    assert "s6" not in after.case_ids
    assert after.diagnostics["rounds"] == done.selection.diagnostics["rounds"]
    last = go(world, more=1, predictions=world.root / "predicted", seed=1)
    assert "s6" not in last.selection.case_ids


def test_scans_that_are_stored_otherwise_are_read_as_they_are_handed_over(world):
    for path in sorted(world.images.iterdir()):
        values, _ = read_labels_of(path)
        path.unlink()
        write_image(world.images / path.name.replace(".nii.gz", ".nrrd"), values, AFFINE)
    done = go(world, members=1, steps=1)
    assert len(done.selection) == 4
    predicted = sorted((world.out / "predictions").glob("*.nii.gz"))
    assert [read_grid(p).shape for p in predicted] == [SHAPE, SHAPE]


def read_labels_of(path: Path):
    from firstscan.imaging import read_array

    return read_array(path)


# ---- what cannot be, and what is said


def refused(kind, message, action):
    with pytest.raises(kind, match=message):
        action()


def test_probabilities_of_another_grid(world):
    folder = predict(world, of=lambda p: p[:, 1:])
    before = results(world.out)
    refused(
        DataError,
        r"2 of the 5|could not be predicted|another grid than its scan: 11×11×10 against 12×11×10",
        lambda: go(world, predictions=folder),
    )
    assert results(world.out) == before


def test_probabilities_of_another_scan(world):
    folder = world.root / "nifti"
    folder.mkdir()
    shifted = AFFINE.copy()
    shifted[0, 3] = 5
    for case_id in IDS:
        p = np.where(world.balls[case_id], 0.9, 0.1).astype(np.float32)
        write_image(folder / f"{case_id}.nii.gz", p, shifted if case_id in IDS[2:] else AFFINE)
    refused(DataError, "origin .*is it the prediction of this scan", lambda: go(world, predictions=folder))


def test_a_volume_of_foreground_probabilities_is_enough_for_one_class(world):
    folder = world.root / "nifti"
    folder.mkdir()
    for i, case_id in enumerate(IDS):
        p = np.where(world.balls[case_id], 0.99 - 0.04 * i, 0.01).astype(np.float32)
        write_image(folder / f"{case_id}.nii.gz", p, AFFINE)
    assert go(world, predictions=folder).selection.case_ids[2:] == ("s6", "s5")


def test_another_number_of_classes(world):
    folder = predict(world, classes=3)
    refused(DataError, "holds 3 classes with the background, the labels have 2", lambda: go(world, predictions=folder))


def test_another_order_of_classes(world):
    for case_id in PICKED:
        values = world.balls[case_id].astype("uint8")
        values[:, :, :5] *= 2
        write_image(world.labels / f"{case_id}.nii.gz", values, AFFINE)

    def swapped(p):
        upper, lower = p[1].copy(), p[1].copy()
        upper[:, :, :5], lower[:, :, 5:] = 0, 0
        return np.stack([1 - upper - lower, lower * 0 + lower, upper])

    folder = predict(world, of=swapped)
    refused(
        DataError,
        "another order of classes than the labels: what is predicted as class 1 fits the labels of class 2",
        lambda: go(world, predictions=folder),
    )


def test_a_scan_without_a_prediction(world):
    folder = predict(world, case_ids=[i for i in IDS if i != "s4"])
    refused(DataError, "1 of 5 scans that are left have no prediction .* s4", lambda: go(world, predictions=folder))
    (world.root / "empty").mkdir()
    refused(DataError, "no probability map", lambda: go(world, predictions=world.root / "empty"))
    refused(UsageError, "is not a folder", lambda: go(world, predictions=world.root / "nowhere"))


def test_members_of_an_ensemble_that_are_not_all_there(world):
    predict(world, place="folds/fold_0")
    predict(world, place="folds/fold_1", case_ids=IDS[:6])
    folds = world.root / "folds"
    refused(DataError, "1 scan.s. are not in every one of the 2 folders", lambda: go(world, predictions=folds))
    predict(world, place="folds/fold_1", sure=0.6)
    done = go(world, rule="bald", predictions=folds)
    assert done.selection.diagnostics["rounds"][0]["members"] == 2


def test_an_ensemble_of_one(world):
    refused(UsageError, "--members 1: rule bald needs at least 2", lambda: go(world, rule="bald", members=1))
    refused(UsageError, "needs at least 2 predictions of each scan; there is 1", lambda: given(world, rule="bald"))


def test_labels_of_scans_outside_of_the_pool(world):
    write_image(world.labels / "stranger.nii.gz", world.balls["s0"].astype("uint8"), AFFINE)
    done = given(world)
    assert [(f.code, f.severity) for f in done.findings] == [("label-unknown", "warn")]
    assert "stranger.nii.gz belongs to no scan of the pool" in done.findings[0].message
    collected = world.root / "collected"
    collected.mkdir()
    label = world.labels / "stranger.nii.gz"
    (collected / "labelled.csv").write_text(f"case_id,label\nstranger,{label}\ns0,{label}\n")
    refused(UsageError, "lists 1 scan.s. that are not in the pool of this batch: stranger",
            lambda: go(world, labels=collected))  # fmt: skip


def test_no_label_at_all(world):
    (world.root / "empty").mkdir()
    refused(DataError, "no label map in .* can be trained on", lambda: go(world, labels=world.root / "empty"))
    refused(UsageError, "is not a folder", lambda: go(world, labels=world.root / "nowhere"))


def test_a_class_that_no_label_map_holds(world):
    done = given_with_classes(world, {"ball": 1, "rim": 2})
    assert done.selection.diagnostics["rounds"][0]["classes_absent"] == ["rim"]
    trained = go(world, more=1, classes={"ball": 1, "rim": 2}, members=1, steps=1)
    assert trained.selection.diagnostics["rounds"][1]["classes_absent"] == ["rim"]
    for case_id in PICKED:
        write_image(world.labels / f"{case_id}.nii.gz", np.zeros(SHAPE, dtype="uint8"), AFFINE)
    refused(DataError, "hold none of the classes ball",
            lambda: go(world, more=1, classes={"ball": 1}, members=1, steps=1))  # fmt: skip


def given_with_classes(world, classes):
    return go(world, predictions=predict(world, classes=len(classes) + 1), classes=classes)


def test_a_labelled_scan_that_was_vetoed(world):
    replace(world.out, "s0", "wrong field of view", NOW)
    done = given(world, more=1)
    assert [(f.code, f.case_id) for f in done.findings] == [("label-vetoed", "s0")]
    assert "wrong field of view" in done.findings[0].message
    assert "s0" not in done.selection.case_ids
    assert done.selection.diagnostics["rounds"][0]["labels"] == 1


def test_nothing_left_to_pick(world):
    refused(DataError, "--more 6: only 5 scan.s. are left to add. Ask for fewer", lambda: given(world, more=6))
    given(world, more=5)
    refused(DataError, "only 0 scan.s. are left to add. The pool is used up",
            lambda: go(world, more=1, predictions=world.root / "predicted"))  # fmt: skip


def test_a_scan_with_other_channels_is_left_out_and_named(world):
    from firstscan.segmentation.unet.members import UnetMembers
    from firstscan.segmentation.unet.segmenter import Unet

    go(world, members=1, steps=1)
    models = sorted((world.out / "work" / "models").glob("*/seed-*"))
    members = UnetMembers(models, Unet())
    with pytest.raises(DataError, match=r"trained on 1 channel.s. .*; this scan has 2"):
        list(members.probabilities(np.zeros((2, 8, 8, 8), dtype=np.float32), (1.0, 1.0, 1.0)))


def test_a_scan_that_cannot_be_read_is_not_offered_and_that_is_kept(world):
    (world.images / "s6.nii.gz").write_bytes((world.images / "s6.nii.gz").read_bytes()[:200])
    done = go(world, members=1, steps=1)
    assert [(f.code, f.case_id) for f in done.findings] == [("prediction-failed", "s6")]
    assert "s6" not in done.selection.case_ids
    assert list(done.selection.diagnostics["rounds"][0]["not_predicted"]) == ["s6"]


def test_a_pick_that_cannot_be_read_any_more_has_no_prediction_and_that_is_said(world):
    go(world, members=1, steps=1)
    pending = fs.read_selection(world.out).case_ids[2]
    path = world.images / f"{pending}.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    write_image(world.labels / "s7.nii.gz", world.balls["s7"].astype("uint8"), AFFINE)
    done = go(world, more=1, members=1, steps=1)
    assert [(f.code, f.case_id) for f in done.findings] == [("prediction-failed", pending)]
    assert len(done.selection) == 5


def test_what_is_asked_for_wrongly(world):
    refused(UsageError, "unknown rule 'magic'", lambda: go(world, rule="magic"))
    refused(UsageError, "rule vaal averages no voxels", lambda: go(world, rule="vaal", aggregate="top"))
    refused(UsageError, "has no option 'colour'", lambda: go(world, option={"colour": "red"}))
    refused(UsageError, "--aggregate", lambda: go(world, aggregate="mean"))
    refused(UsageError, "--more", lambda: go(world, more=0))
    refused(UsageError, "not a results folder", lambda: run_next(
        world.root / "none", NextConfig(labels=world.labels, more=1), NOW))  # fmt: skip
    assert not (world.root / "none").exists()


DRIVER = '''
"""Adds a round in forked children; a child kills itself with SIGKILL at its n-th replacing of a file."""
import os, pathlib, signal, sys
root, die_at = pathlib.Path(sys.argv[1]), [int(n) for n in sys.argv[2].split(",")]
import firstscan.steps.training.next_round as step, scipy.special
from firstscan.steps.running.run import Settings

def child(n):
    count, real = 0, pathlib.Path.replace
    def replace(self, target):
        nonlocal count
        count += 1
        if count == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, target)
    pathlib.Path.replace = replace
    config = step.NextConfig(labels=root / "labels", more=2, rule="entropy", predictions=root / "predicted")
    step.run_next(root / "out", config, Settings(workers=1))
    print("done", count, flush=True)
    os._exit(0)

for n in die_at:
    pid = os.fork()
    if pid == 0:
        child(n)
    print("ended", os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
'''


def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path):
    worlds = []
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        worlds.append(make_world(tmp_path / name))
        predict(worlds[-1])

    def drive(world, die_at):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, str(world.root), ",".join(map(str, die_at))],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    writes = int(drive(worlds[0], [0])[0].split()[1])
    assert writes > 12
    said = drive(worlds[1], [1, 4, 7, 6, 3, 0])
    assert said.count("ended 9") == 5
    assert said[-2].startswith("done")
    whole, killed = (results(w.out) for w in worlds)
    assert whole.keys() == killed.keys()
    assert whole == killed
    assert len([n for n in whole if n.startswith("predictions/") and n.endswith(".nii.gz")]) == 2


def test_training_goes_on_with_the_member_that_was_missing(world):
    go(world, members=2, steps=1)
    first, second = sorted((world.out / "work" / "models").glob("*/seed-*"))
    held = (second / "unet.pt").read_bytes()
    stamp = (first / "unet.pt").stat().st_mtime_ns
    (second / "done.json").unlink()
    (second / "unet.pt").write_bytes(b"half")
    go(world, more=1, members=2, steps=1)
    assert (second / "unet.pt").read_bytes() == held
    assert (first / "unet.pt").stat().st_mtime_ns == stamp
