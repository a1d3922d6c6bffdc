"""Segmentations of 3D Slicer with one or several layers, as one label map."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from firstscan.domain.errors import DataError
from firstscan.segmentation.grids import read_labels, read_segments

SHAPE = (5, 6, 7)


def slicer(path, layers, segments, *, packed=False):
    """Write ``layers`` (layer, x, y, z) as 3D Slicer does; ``segments`` are (name, layer, value)."""
    layers = np.asarray(layers, np.uint8)
    single = len(layers) == 1
    sizes = " ".join(map(str, SHAPE if single else (len(layers), *SHAPE)))
    said = [
        f"Segment{i}_{key}:={value}"
        for i, (name, layer, stored) in enumerate(segments)
        for key, value in (("ID", f"S{i}"), ("Name", name), ("Layer", layer), ("LabelValue", stored))
    ]
    directions = "(2,0,0) (0,1,0) (0,0,1)"
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {3 if single else 4}",
        "space: left-posterior-superior",
        f"sizes: {sizes}",
        f"space directions: {directions}" if single else f"space directions: none {directions}",
        "kinds: domain domain domain" if single else "kinds: list domain domain domain",
        f"encoding: {'gzip' if packed else 'raw'}",
        "space origin: (1,2,3)",
        *said,
        "",
        "",
    ]
    voxels = (layers[0] if single else layers).tobytes(order="F")
    path.write_bytes("\n".join(lines).encode() + (gzip.compress(voxels) if packed else voxels))
    return path


def blobs():
    a, b = np.zeros((2, *SHAPE), int)
    a[1:3, 1:4] = 1
    b[2:4, 2:5] = 1
    return a, b


@pytest.mark.parametrize("packed", [False, True])
def test_layers_that_overlap_become_one_label_map(tmp_path, packed):
    a, b = blobs()
    path = slicer(tmp_path / "p0.seg.nrrd", [a, b], [("liver", 0, 1), ("tumour", 1, 1)], packed=packed)
    labels, grid = read_labels(path)
    assert grid.shape == SHAPE
    assert grid.spacing_mm == (2.0, 1.0, 1.0)
    np.testing.assert_array_equal(labels, np.where(b == 1, 2, a))  # as Slicer exports it: the later segment counts
    assert read_segments(path) == {"liver": 1, "tumour": 2}


def test_values_of_their_own_are_kept(tmp_path):
    a, b = blobs()
    path = slicer(tmp_path / "p0.seg.nrrd", [3 * a, 7 * b], [("liver", 0, 3), ("tumour", 1, 7)])
    np.testing.assert_array_equal(read_labels(path)[0], np.where(b == 1, 7, 3 * a))
    assert read_segments(path) == {"liver": 3, "tumour": 7}


def test_several_segments_in_a_layer(tmp_path):
    a, b = blobs()
    layer = a.copy()
    layer[4] = 2
    path = slicer(tmp_path / "p0.seg.nrrd", [layer, b], [("liver", 0, 1), ("spleen", 0, 2), ("tumour", 1, 1)])
    labels = read_labels(path)[0]
    assert (labels[4] == 2).all()
    np.testing.assert_array_equal(labels == 3, b == 1)


def test_one_layer_is_read_as_before(tmp_path):
    a, _ = blobs()
    path = slicer(tmp_path / "p0.seg.nrrd", [a], [("liver", 0, 1)])
    np.testing.assert_array_equal(read_labels(path)[0], a)


def test_a_layer_with_unknown_values_is_refused(tmp_path):
    a, b = blobs()
    path = slicer(tmp_path / "p0.seg.nrrd", [5 * a, b], [("liver", 0, 1), ("tumour", 1, 1)])
    with pytest.raises(DataError, match=r"p0.seg.nrrd: a layer holds values that are of no segment"):
        read_labels(path)
    path = slicer(tmp_path / "p1.seg.nrrd", [a, b], [("liver", 0, 1), ("tumour", 4, 1)])
    with pytest.raises(DataError, match="tumour is said to lie in layer 4"):
        read_labels(path)


def test_volumes_without_segments_are_no_label_map(tmp_path):
    a, b = blobs()
    with pytest.raises(DataError, match="a label map has 3 dimensions"):
        read_labels(slicer(tmp_path / "p0.nrrd", [a, b], []))
