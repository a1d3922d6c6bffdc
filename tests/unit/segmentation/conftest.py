import json
import stat
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from firstscan.segmentation.grids import Grid, sitk, write_labels


def write_image(voxels, grid, path):
    image = sitk().GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    sitk().WriteImage(image, str(path))


@pytest.fixture
def raw_dataset(tmp_path):
    """Two tiny scans with a bright ball (class 1) in a dim box (class 2), as an nnU-Net raw dataset."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "Dataset001_Tiny"
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    grid = Grid((20, 18, 16), (1.0, 1.0, 2.0), (3.0, -4.0, 5.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    x = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"))
    for name, at in (("a", 9), ("b", 10)):
        label = np.zeros(grid.shape, np.int32)
        label[4:16, 4:14, 4:12] = 2
        label[((x - np.array([at, 9, 8])[:, None, None, None]) ** 2).sum(0) < 9] = 1
        voxels = (np.array([0.0, 10.0, 4.0])[label] + rng.normal(0, 0.3, grid.shape)).astype(np.float32)
        write_image(voxels, grid, folder / "imagesTr" / f"{name}_0000.nii.gz")
        write_image(voxels, grid, folder / "imagesTs" / f"{name}_0000.nii.gz")
        write_labels(label, grid, folder / "labelsTr" / f"{name}.nii.gz")
    content = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "ball": 1, "box": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return SimpleNamespace(folder=folder, grid=grid, classes={"ball": 1, "box": 2})


FAKE = """#!{python}
import json, os, pathlib, shutil, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
keys = [k for k in os.environ if k.startswith(("nnUNet_", "FIRSTSCAN_"))]
with open({calls!r}, "a") as log:
    log.write(json.dumps([name, arguments, {{k: os.environ[k] for k in keys}}]) + "\\n")
mode = pathlib.Path({mode!r}).read_text()
if mode == name:
    print("doing things")
    print("RuntimeError: it broke")
    sys.exit(1)
if name == "nnUNetv2_plan_and_preprocess":
    pathlib.Path(os.environ["nnUNet_preprocessed"], "Dataset001_Picks").mkdir(parents=True)
if name == "nnUNetv2_train":
    for epoch in range(2):
        print(f"2026-01-01 00:00:00.1: Epoch {{epoch}}")
        print(f"2026-01-01 00:00:00.2: train_loss {{0.5 - epoch / 10}}")
    fold = pathlib.Path(os.environ["nnUNet_results"], "Dataset001_Picks", "T__nnUNetPlans__3d_fullres", "fold_0")
    fold.mkdir(parents=True, exist_ok=True)
    (fold / "checkpoint_latest.pth").write_text("x")
if name == "nnUNetv2_predict":
    out = pathlib.Path(arguments[arguments.index("-o") + 1])
    for image in sorted(pathlib.Path(arguments[arguments.index("-i") + 1]).iterdir()):
        case = image.name.removesuffix("_0000.nii.gz")
        print(f"Predicting {{case}}:")
        if mode != "lazy":
            shutil.copy(image, out / f"{{case}}.nii.gz")
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Programs that note how they were called instead of training."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls, mode = tmp_path / "calls.jsonl", tmp_path / "mode"
    mode.write_text("")
    for name in ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict"):
        path = folder / name
        path.write_text(FAKE.format(python=sys.executable, calls=str(calls), mode=str(mode)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("FIRSTSCAN_NNUNET", str(tmp_path))

    def told():
        return [json.loads(line) for line in calls.read_text().splitlines()]

    told.mode = mode
    return told
