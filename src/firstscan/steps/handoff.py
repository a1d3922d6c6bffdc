"""Selection → a folder that a labelling tool or nnU-Net opens as it is."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from firstscan._version import __version__
from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import UsageError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.handoff.material import Handed, Material, Place
from firstscan.handoff.place import Mode, placer
from firstscan.handoff.registry import writer
from firstscan.imaging import write_image
from firstscan.imaging.reading import read_raw
from firstscan.store import file_sha256, identity, open_workspace, read_manifest, read_selection, write_manifest

from .config import Config, IndexConfig
from .index import index
from .labels import find_classes, match_labels, read_classes
from .run import Settings


class HandoffConfig(Config):
    """Where to: ``target`` is a name of :func:`firstscan.handoff.registry.targets`, ``labels`` a folder of label maps.

    ``files``: ``link`` or ``copy``; scans that are not ``.nii.gz`` are converted in any case.
    """

    target: str
    name: str = "firstscan"
    labels: Path | None = None
    files: Mode = "link"


def handoff(
    selection: Selection,
    pool: Pool,
    config: HandoffConfig,
    out: Path,
    *,
    labels: Mapping[str, str] | None = None,
    classes: Mapping[str, int] | None = None,
) -> Handed:
    """Write the picks into the empty folder ``out`` for one target.

    ``labels`` (case id → file) and ``classes`` (name → value) override what ``config.labels`` holds.

    Raises
    ------
    UsageError : an unknown target, picks that are not in the pool.  DataError : labels that do not serve.
    """
    write = writer(config.target)
    found = dict(labels or {})
    if labels is None and config.labels is not None:
        found = match_labels(config.labels, selection.case_ids)
    named = dict(classes or (read_classes(config.labels) if config.labels else {}))
    if found and not named and config.target == "nnunet":
        named = find_classes(found)
    material = Material(selection, pool, name=config.name, labels=found, classes=named)
    return write(material, out, place_of(pool.only(selection.case_ids), config.files))


def place_of(cases: Collection[Case] | Pool, mode: Mode) -> Place:
    """Return the function that puts channels in place.

    Where any file of ``cases`` has to be converted all of them are, label maps too, so that a scan and its label map
    always share one grid.
    """
    direct = all(_linkable(channel) for case in cases for channel in case.channels)
    as_it_is = placer(mode, convert)

    def place(channel: Channel, target: Path) -> None:
        if direct:
            as_it_is(channel, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            convert(channel, target)

    return place


def convert(channel: Channel, target: Path) -> None:
    """Read a channel of any format and write it as NIfTI in canonical orientation; whole numbers stay exact."""
    raw = read_raw(Case(channel.name, (channel,)))
    voxels = raw.voxels[0]
    dtype = "int16" if (voxels == voxels.astype("int16")).all() else None
    write_image(target, voxels, raw.affine, dtype)


def run_handoff(
    source: str, selected: Path, config: HandoffConfig, out: Path, settings: Settings, *, channel: tuple[str, ...] = ()
) -> Handed:
    """Hand off the selection of a results folder; ``out`` must be empty or hold the same hand-off.

    Raises
    ------
    UsageError : no selection there, ``out`` in use.  DataError : scans or labels that do not serve.
    """
    selection = read_selection(selected)
    pool = index(IndexConfig.of(source=source, channel=channel))
    labels = match_labels(config.labels, selection.case_ids) if config.labels else {}
    inputs = {case_id: file_sha256(Path(path)) for case_id, path in labels.items()}
    plain = {"target": config.target, "name": config.name, "files": config.files, "picks": list(selection.case_ids)}
    writer(config.target)
    if out.is_dir() and any(out.iterdir()) and not settings.overwrite:
        manifest = read_manifest(out)
        same = manifest is not None and identity(manifest.config, manifest.inputs) == identity(plain, inputs)
        if not same:
            raise UsageError(f"{out} is not empty; choose another --out, or add --overwrite to replace what is there")
    with open_workspace(out) as workspace:
        for old in out.iterdir():
            if old != workspace.work:
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        handed = handoff(selection, pool, config, out, labels=labels)
        files = [str(p.relative_to(out)) for p in sorted(out.rglob("*")) if _ours(p, workspace.work)]
        write_manifest(out, kind="handoff", version=__version__, config=plain, inputs=inputs, files=files)
    return handed


def _linkable(channel: Channel) -> bool:
    return not channel.files and channel.component is None and channel.path.lower().endswith(".nii.gz")


def _ours(path: Path, work: Path) -> bool:
    """Tell whether a file is one of the small ones that describe the hand-off, not a scan."""
    return path.is_file() and not path.is_symlink() and work not in path.parents and not path.name.endswith(".nii.gz")
