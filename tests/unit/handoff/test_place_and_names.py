import pytest

from firstscan.domain.case import Channel
from firstscan.domain.errors import UsageError
from firstscan.domain.pool import Pool
from firstscan.handoff.material import Material
from firstscan.handoff.names import read_names, safe_names, write_table
from firstscan.handoff.registry import targets, writer


def test_names_are_unique_safe_and_keep_what_is_safe():
    names = safe_names(["a b", "a_b", "OK", "ok", "é"])
    assert names["a_b"] == "a_b"
    assert names["OK"] == "OK"
    assert len({n.lower() for n in names.values()}) == 5
    assert all(n.isascii() for n in names.values())


def test_names_do_not_depend_on_order():
    assert safe_names(["x y", "x_y", "x-y"]) == {k: safe_names(["x-y", "x_y", "x y"])[k] for k in ("x y", "x_y", "x-y")}


def test_names_table_is_reversible(tmp_path):
    names = safe_names(["a/b", 'q"uote', "line,comma"])
    write_table(tmp_path / "n.csv", ("name", "case_id"), ((v, k) for k, v in names.items()))
    assert dict(read_names(tmp_path / "n.csv")) == {v: k for k, v in names.items()}


def test_link_links_copy_copies_and_the_rest_is_converted(world, tmp_path):
    channel = world.pool["a"].channels[0]
    world.link(channel, tmp_path / "l" / "x.nii.gz")
    assert (tmp_path / "l" / "x.nii.gz").is_symlink()
    world.copy(channel, tmp_path / "c.nii.gz")
    assert not (tmp_path / "c.nii.gz").is_symlink()
    assert (tmp_path / "c.nii.gz").read_bytes() == b"a T1"
    for odd in (
        Channel("v", channel.path, component=1),
        Channel("s", str(world.source), files=("1.dcm",)),
        Channel("n", "x.nrrd"),
    ):
        world.link(odd, tmp_path / f"{odd.name}.nii.gz")
        assert (tmp_path / f"{odd.name}.nii.gz").read_bytes().startswith(b"converted")


def test_a_scan_that_is_gone_is_named(world, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.nii\.gz"):
        world.link(Channel("x", str(tmp_path / "gone.nii.gz")), tmp_path / "y.nii.gz")


def test_picks_must_be_in_the_pool(world):
    with pytest.raises(UsageError, match="same SOURCE"):
        Material(world.selection, Pool("x", ()))


def test_unknown_target_lists_the_known():
    with pytest.raises(UsageError, match="nnunet"):
        writer("nope")
    assert targets() == tuple(sorted(targets()))
