import gzip
import struct

import nibabel
import numpy as np
import pytest

from firstscan.domain.errors import DataError
from firstscan.segmentation.grids import Grid, read_grid, read_labels, write_labels
from firstscan.segmentation.whole import has_place, is_whole, require_written

GRID = Grid((20, 18, 16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_labels(np.random.default_rng(0).integers(0, 3, GRID.shape).astype(np.int32), GRID, path)
    return path


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.999])
def test_a_file_cut_short_is_not_whole_and_is_never_read_as_zeros(written, share):
    content = written.read_bytes()
    assert is_whole(written)
    written.write_bytes(content[: int(share * len(content))])
    assert not is_whole(written)
    with pytest.raises(DataError, match=r"a\.nii\.gz (is cut short|cannot be read)"):
        read_labels(written)
    with pytest.raises(OSError, match="No space left"):
        require_written(written)
    assert not written.exists()


def test_other_ways_to_store_the_same_are_whole(written, tmp_path):
    inflated = gzip.decompress(written.read_bytes())
    half = len(inflated) // 2
    members = gzip.compress(inflated[:half]) + gzip.compress(inflated[half:])
    for name, content in (("b.nii", inflated), ("c.nii.gz", inflated), ("d.nii.gz", members)):
        (tmp_path / name).write_bytes(content)
        assert is_whole(tmp_path / name), name
        (tmp_path / name).write_bytes(content[:-30])
        assert not is_whole(tmp_path / name), name
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        for order in "<>":
            header = kind.header_class(endianness=order)
            header.set_data_dtype(np.dtype("i2").newbyteorder(order))
            nibabel.save(kind(np.ones((5, 4, 3, 2), np.int16), np.eye(4), header), tmp_path / "e.nii.gz")
            assert is_whole(tmp_path / "e.nii.gz")
    (tmp_path / "f.nrrd").write_bytes(b"NRRD0004")
    assert is_whole(tmp_path / "f.nrrd")


def test_what_follows_the_voxels_and_headers_without_sense_do_not_matter(written, tmp_path):
    inflated = bytearray(gzip.decompress(written.read_bytes()))
    (tmp_path / "junk.nii.gz").write_bytes(written.read_bytes() + b"trailing junk")
    assert is_whole(tmp_path / "junk.nii.gz")
    inflated[108:112] = np.float32(np.nan).tobytes()
    (tmp_path / "offset.nii").write_bytes(inflated)
    assert is_whole(tmp_path / "offset.nii")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_a_rotation_that_is_not_finite_is_refused_before_simpleitk_hangs_on_it(tmp_path, ending, endianness):
    path = tmp_path / f"a{ending}"
    header = nibabel.Nifti1Header(endianness=endianness)
    affine = np.array([[0.6, 1.0, 0.7, 0], [-1.2, 0.5, 0.4, 0], [-0.5, 3.3, -0.1, 0], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(np.ones((5, 4, 3), np.int16), affine, header)
    image.set_qform(np.eye(4), 0)
    nibabel.save(image, path)
    assert has_place(path)
    content = bytearray(gzip.decompress(path.read_bytes()) if ending == ".nii.gz" else path.read_bytes())
    struct.pack_into(f"{endianness}f", content, 300, float("inf"))
    path.write_bytes(gzip.compress(bytes(content)) if ending == ".nii.gz" else bytes(content))
    assert not has_place(path)
    for read in (read_labels, read_grid):
        with pytest.raises(DataError, match="not finite"):
            read(path)
