import json
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
