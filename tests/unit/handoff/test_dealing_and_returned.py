"""Dealing to readers, and which file in a hand-off is whose label."""

from itertools import chain
from pathlib import Path

import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.handoff.dealing import deal
from firstscan.handoff.material import Handed, Item
from firstscan.handoff.registry import WRITERS, writer
from firstscan.handoff.returned import RETURNS, find_labels
from firstscan.handoff.trail import Step, Trail, read_trail, write_trail
from firstscan.imaging.files import is_volume, split_ending


def batch(n):
    return Selection(tuple(Pick(f"c{i:02d}", i, 0, None, None, None, "why") for i in range(1, n + 1)), "cscs", 42, n)


@pytest.mark.parametrize(
    ("n", "readers", "overlap"), [(8, 3, 2), (8, 3, 0), (5, 2, 5), (4, 3, 1), (11, 4, 3), (3, 1, 0)]
)
def test_every_scan_is_read_and_lists_are_even_and_in_rank_order(n, readers, overlap):
    parts = deal(batch(n), readers, overlap)
    assert list(parts) == [f"reader{i + 1}" for i in range(readers)]
    ranks = [[p.rank for p in part] for part in parts.values()]
    assert all(r == sorted(r) and r[:overlap] == list(range(1, overlap + 1)) for r in ranks)
    assert sorted(chain.from_iterable(r[overlap:] for r in ranks)) == list(range(overlap + 1, n + 1))
    assert max(map(len, ranks)) - min(map(len, ranks)) <= 1
    assert all(part.budget == len(part) for part in parts.values())


def test_ten_readers_sort_as_they_count():
    assert list(deal(batch(10), 10)) == sorted(deal(batch(10), 10))


@pytest.mark.parametrize(
    ("readers", "overlap", "said"),
    [(0, 0, "at least 1"), (2, 9, "0 … 4"), (1, 2, "--readers 2"), (5, 0, "only 4 scan"), (2, -1, "0 … 4")],
)
def test_a_dealing_that_cannot_be_says_why(readers, overlap, said):
    with pytest.raises(UsageError, match=said):
        deal(batch(4), readers, overlap)


def trail_of(folder, target, *names):
    return Trail(folder, target, "", {}, tuple(Step(f"case {n}", i, n, ()) for i, n in enumerate(names, 1)))


def back(trail):
    return find_labels(trail, is_volume, lambda name: split_ending(name)[0])


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("nnunet", "Dataset001_x/labelsTr/a_1.nii.gz"),
        ("monailabel", "labels/final/a_1.nii.gz"),
        ("mitk", "segmentations/a_1.nrrd"),
        ("bids", "sub-a/anat/a_1_dseg.nii.gz"),
        ("slicer", "images/a_1.nii_segmentation.seg.nrrd"),
        ("slicer", "images/a_1.nii_segmentation_anna.seg.nrrd"),
        ("slicer", "masks/a_1.nii_anna.seg.nrrd"),
        ("slicer", "segmentations/a_1.seg.nrrd"),
        ("slicer", "segmentations/deep/a_1-label.nrrd"),
        ("slicercart", "segmentations/a_1/a_1_seg_v01.nii.gz"),
        ("itksnap", "segmentations/a_1.nii.gz"),
        ("csv", "labels/a_1_mask.mha"),
    ],
)
def test_each_tool_s_names_lead_to_the_scan(tmp_path, target, name):
    put(tmp_path, name)
    found = back(trail_of(tmp_path, target, "a", "a_1"))
    assert found.labels["case a_1"].path == tmp_path / name
    assert found.labels["case a"].path is None
    assert found.unknown == ()


def test_a_stranger_is_never_taken_for_a_pick_whose_name_it_begins_with(tmp_path):
    put(tmp_path, "segmentations/scan_1_2.nii.gz", "segmentations/other.nrrd", "segmentations/notes.txt")
    found = back(trail_of(tmp_path, "itksnap", "scan_1"))
    assert found.labels["case scan_1"].path is None
    assert [p.name for p in found.unknown] == ["other.nrrd", "scan_1_2.nii.gz"]


@pytest.mark.parametrize("name", ["images/a_0000.nii_segmentation.seg.nrrd", "segmentations/a_0001_seg.nii.gz"])
def test_a_label_may_be_named_after_any_channel_it_was_drawn_on(tmp_path, name):
    channels = tuple((c, tmp_path / "images" / f"a_{i:04d}.nii.gz") for i, c in enumerate(("t1", "t2")))
    put(tmp_path, "images/a_0000.nii.gz", "images/a_0001.nii.gz", name)
    found = back(Trail(tmp_path, "slicer", "", {}, (Step("case a", 1, "a", channels),)))
    assert (found.labels["case a"].path, found.unknown) == (tmp_path / name, ())


def test_what_the_tool_keeps_for_itself_is_left_alone(tmp_path):
    put(tmp_path, "labels/original/a.nii.gz", "a.nii.gz", "labels/final/a.nii.gz")
    found = back(trail_of(tmp_path, "monailabel", "a"))
    assert (found.labels["case a"].path, found.unknown) == (tmp_path / "labels/final/a.nii.gz", ())


def test_the_newest_version_counts_and_rivals_are_nobody_s(tmp_path):
    put(tmp_path, "segmentations/a_seg_v2.nii.gz", "segmentations/a_seg_v10.nii.gz", "segmentations/b.nrrd")
    put(tmp_path, "segmentations/b.nii.gz", "segmentations/c.interim.nrrd")
    labels = back(trail_of(tmp_path, "mitk", "a", "b", "c")).labels
    assert labels["case a"].path.name == "a_seg_v10.nii.gz"
    assert [p.name for p in labels["case a"].older] == ["a_seg_v2.nii.gz"]
    assert (labels["case b"].path, len(labels["case b"].rivals)) == (None, 2)
    assert (labels["case c"].path, len(labels["case c"].unfinished)) == (None, 1)


def test_what_was_handed_over_counts_only_where_nothing_else_came(tmp_path):
    given = tmp_path / "masks" / "a.nii.gz"
    put(tmp_path, "masks/a.nii.gz")
    item = Item("case a", 1, "a", (), given)
    write_trail(tmp_path, Handed("slicer", tmp_path, "", (item,)), classes={"x": 1}, modalities={"case a": "ct"})
    trail = read_trail(tmp_path)
    assert (trail.classes, trail.steps[0].modality) == ({"x": 1}, "ct")
    assert back(trail).labels["case a"].untouched
    put(tmp_path, "masks/a.nii.seg.nrrd")
    found = back(trail).labels["case a"]
    assert (found.path.name, found.untouched) == ("a.nii.seg.nrrd", False)
    given.write_bytes(b"corrected in place")
    assert len(back(trail).labels["case a"].rivals) == 2


def test_a_trail_survives_a_move_and_says_when_it_is_damaged(world, tmp_path):
    handed = writer("slicer")(world.material(labels=world.labels), world.out, world.link)
    write_trail(world.out, handed, classes={}, modalities={}, reader="reader1")
    moved = tmp_path / "moved"
    world.out.rename(moved)
    trail = read_trail(moved)
    assert (trail.reader, [s.case_id for s in trail.steps]) == ("reader1", ["z", "b c"])
    assert all(path.exists() for step in trail.steps for _, path in (*step.images, ("", step.given)))
    (moved / "handoff.json").write_text('{"schema_version": 1}')
    with pytest.raises(DataError, match="is damaged"):
        read_trail(moved)
    (moved / "handoff.json").write_text('{"schema_version": 99}')
    with pytest.raises(DataError, match="newer firstscan"):
        read_trail(moved)


@pytest.mark.parametrize("target", sorted(WRITERS))
def test_every_target_tells_what_became_of_each_pick(world, target):
    handed = writer(target)(world.material(labels=world.labels, classes={"lesion": 1}), world.out, world.link)
    assert [(i.case_id, i.rank) for i in handed.items] == [("z", 1), ("b c", 2)]
    assert len({i.name for i in handed.items}) == 2
    assert target in RETURNS
    for item in handed.items:
        assert all(path.is_file() and path.is_relative_to(world.out) for _, path in item.images)
        if item.given is not None:
            assert not item.given.is_symlink(), "a tool that saves over it would write into the user's own file"


def test_paths_in_a_workspace_are_absolute_whatever_was_typed(world, monkeypatch):
    import xml.etree.ElementTree as ET

    from firstscan.steps.annotating.tool_folder import HandoffConfig, handoff

    monkeypatch.chdir(world.out.parent)
    handoff(world.selection, world.pool, HandoffConfig(target="itksnap"), Path("out"))
    first = sorted(world.out.glob("*.itksnap"))[0]
    paths = [e.get("value") for e in ET.parse(first).getroot().iter("entry") if e.get("key") == "AbsolutePath"]
    assert paths
    assert all(Path(p).is_absolute() for p in paths)
