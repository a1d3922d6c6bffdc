"""Selection → a folder that a labelling tool or nnU-Net opens as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field, field_validator

from firstscan.domain.case import Case, Channel
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.domain.slices import refuse_class
from firstscan.handoff.material import Handed, Material, Place
from firstscan.handoff.place import Mode, placer
from firstscan.handoff.registry import writer
from firstscan.imaging import write_image
from firstscan.imaging.reading import read_raw
from firstscan.segmentation.grids import read_labels, write_labels
from firstscan.segmentation.whole import require_written
from firstscan.steps.running.config import Config

from .label_maps import find_classes, labels_of, read_classes, read_ignore
from .matching import refuse_scans
from .prefilled import ignore_of, laid_on_scans, prefilled

SEGMENTATION = (".seg.nrrd", ".seg.nhdr")
"""Endings of segmentations of 3D Slicer."""


class HandoffConfig(Config):
    """Where to: ``target`` is a name of :func:`firstscan.handoff.registry.targets`, ``labels`` a folder of label maps.

    ``files``: ``link`` or ``copy``; scans that are not ``.nii.gz`` are converted in any case. ``readers`` share the
    batch, the first ``overlap`` scans all of them; ``prelabel`` hands predictions of the last rounds over as label maps
    to correct, where no label map is given; ``without`` lists ids that are not handed over; ``classes`` names the label
    values.
    """

    target: str
    name: str = "firstscan"
    labels: Path | None = None
    files: Mode = "link"
    readers: int = Field(default=1, ge=1)
    overlap: int = Field(default=0, ge=0)
    prelabel: bool = False
    without: tuple[str, ...] = ()
    classes: Mapping[str, int] = Field(default_factory=dict)

    @field_validator("classes")
    @classmethod
    def _named(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        return checked_classes(value)


def checked_classes(value: Mapping[str, int]) -> Mapping[str, int]:
    """Return class names and values as they are.  Raises ValueError where a value is below 1 or names two classes."""
    if any(v < 1 for v in value.values()) or len(set(value.values())) < len(value):
        raise ValueError("each class has a value of its own from 1 on; 0 is the background and has no name")
    return value


def handoff(
    selection: Selection,
    pool: Pool,
    config: HandoffConfig,
    out: Path,
    *,
    labels: Mapping[str, str] | None = None,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    predicted: Collection[str] = (),
) -> Handed:
    """Write the picks into the empty folder ``out`` for one target and one reader.

    ``labels`` (case id → file), ``classes`` (name → value) and ``ignore`` (the value of voxels in the labels that
    nobody annotated) override what ``config`` says; ``predicted`` names those that a model made. With a plan by slice
    every target that takes label maps gets one a scan, in which all but the planned slices are ignored.

    Raises
    ------
    UsageError : an unknown target, picks that are not in the pool, an ignore value that is a class.
    DataError : labels that do not serve.
    """
    write = writer(config.target)
    found = dict(labels or {})
    if labels is None and config.labels is not None:
        found = labels_of(config.labels, selection.case_ids)
    named = dict(classes) if classes is not None else classes_of(config, found)
    if ignore is None and labels is None and config.labels is not None:
        ignore = read_ignore(config.labels)
    refuse_class(ignore, named, "the label maps")
    cases = pool.only(selection.case_ids)
    refuse_scans(found, [Path(channel.path) for case in pool for channel in case.channels])
    neutral = pool.pseudonyms is not None
    linked = all_linkable(cases) and not neutral
    if selection.slices is not None:
        if config.target == "nnunet":
            named = named or {"target": 1}
        ignore = ignore_of(named) if ignore is None else ignore
    with TemporaryDirectory() as folder:
        placed = found
        if selection.slices is not None:
            planned = selection.slices.only(selection.case_ids)
            placed = prefilled(planned, pool, found, ignore or 0, Path(folder), linked=linked or not cases)
        elif config.target == "nnunet" and linked:
            placed = laid_on_scans(found, cases, Path(folder))
        material = Material(
            selection, pool, config.name, placed, named, ignore, found, neutral=neutral, predicted=frozenset(predicted)
        )
        handed = write(material, out.absolute(), place_of(cases, config.files, anew=neutral))
    if selection.slices is None:
        return handed
    maps_say = f" In the label maps all other slices hold {ignore}." if any(i.given for i in handed.items) else ""
    count = len(selection.slices.only(selection.case_ids))
    return replace(handed, message=f"{handed.message} slices.csv lists the {count} slices to annotate.{maps_say}")


def classes_of(config: HandoffConfig, labels: Mapping[str, str]) -> dict[str, int]:
    """Return the classes that were given, or those of a ``dataset.json`` with the labels; nnU-Net's are looked up."""
    named = dict(config.classes) or (read_classes(config.labels) if config.labels else {})
    return find_classes(labels) if labels and not named and config.target == "nnunet" else named


def place_of(cases: Collection[Case] | Pool, mode: Mode, *, anew: bool = False) -> Place:
    """Return the function that puts channels in place.

    ``anew``: every file is written anew, so that nothing of its header is given away. Else, where any file of ``cases``
    has to be converted all of them are, label maps too, so that a scan and its label map always share one grid.
    """
    direct = all_linkable(cases) and not anew
    as_it_is = placer(mode, convert)

    def place(channel: Channel, target: Path, *, editable: bool = False) -> None:
        if direct:
            as_it_is(channel, target, editable=editable)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            convert(channel, target)

    return place


def all_linkable(cases: Collection[Case] | Pool) -> bool:
    """Tell whether every channel is one 3D ``.nii.gz`` file, so that none has to be converted."""
    return all(linkable(channel) for case in cases for channel in case.channels)


def convert(channel: Channel, target: Path) -> None:
    """Read a channel of any format and write it as NIfTI in canonical orientation; whole numbers stay exact.

    Raises OSError where the disk is full.
    """
    with _in_one_layer(channel) as whole:
        raw = read_raw(Case(channel.name, (whole,)))
    voxels = raw.voxels[0]
    dtype = "int16" if (voxels == voxels.astype("int16")).all() else None
    write_image(target, voxels, raw.affine, dtype)
    require_written(target)


@contextmanager
def _in_one_layer(channel: Channel) -> Iterator[Channel]:
    """Lend a file of one volume with what a channel holds: segments of a ``.seg.nrrd`` may lie in several layers."""
    if not channel.path.lower().endswith(SEGMENTATION):
        yield channel
        return
    with TemporaryDirectory() as folder:
        flat = Path(folder) / "labels.nii.gz"
        write_labels(*read_labels(Path(channel.path)), flat)
        yield replace(channel, path=str(flat))


def linkable(channel: Channel) -> bool:
    """Tell whether a channel is one ``.nii.gz`` file of its own."""
    return not channel.files and channel.component is None and channel.path.lower().endswith(".nii.gz")
