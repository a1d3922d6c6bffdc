"""The data set as nnU-Net sees it: under the one name it knows, every label map on the voxels of its scan."""

from __future__ import annotations

import shutil
from pathlib import Path

from firstscan.segmentation.aligning import laid_on
from firstscan.segmentation.dataset import RawDataset
from firstscan.segmentation.grids import read_grid, read_labels, write_labels


def link_dataset(raw: RawDataset, target: Path) -> None:
    """Give the dataset folder the one name that nnU-Net sees, so that no other dataset can be mistaken for it.

    nnU-Net looks at arrays alone: a label map that is stored along other axes than its scan would be learnt mirrored.
    Where there is one, the folder is made of links, and such label maps are written along the axes of their scans.

    Raises
    ------
    DataError : a label map that lies on other voxels than its scan.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not any(_is_askew(case.images[0], case.label) for case in raw.cases):
        _link(raw.folder, target)
        return
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "labelsTr").mkdir(parents=True)
    for path in sorted(raw.folder.iterdir()):
        if path.name != "labelsTr":
            _link(path, part / path.name)
    for case in raw.cases:
        if _is_askew(case.images[0], case.label):
            scan = read_grid(case.images[0])
            write_labels(laid_on(*read_labels(case.label), scan), scan, part / "labelsTr" / case.label.name)
        else:
            _link(case.label, part / "labelsTr" / case.label.name)
    part.rename(target)


def _is_askew(image: Path, label: Path) -> bool:
    return not read_grid(image).is_same(read_grid(label))


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.resolve(), target_is_directory=path.is_dir())
    except (OSError, NotImplementedError):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
