"""Selection → a folder that a labelling tool or nnU-Net opens as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

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
from firstscan.store import (
    Workspace,
    atomic_write,
    dump_json,
    file_sha256,
    identity,
    load_json,
    open_workspace,
    read_manifest,
    read_selection,
    write_manifest,
)
from firstscan.store.manifest import NAME as MANIFEST

from .config import Config, IndexConfig
from .index import index
from .labels import find_classes, match_labels, read_classes
from .run import Settings

PLACED = "handoff.json"
"""In ``work``: what a hand-off wrote, so that nothing else is ever removed; ``null`` while it is being written."""


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
    direct = linkable(cases)
    as_it_is = placer(mode, convert)

    def place(channel: Channel, target: Path) -> None:
        if direct:
            as_it_is(channel, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            convert(channel, target)

    return place


def linkable(cases: Collection[Case] | Pool) -> bool:
    """Tell whether every channel is one 3D ``.nii.gz`` file, so that none has to be converted."""
    return all(_linkable(channel) for case in cases for channel in case.channels)


def convert(channel: Channel, target: Path) -> None:
    """Read a channel of any format and write it as NIfTI in canonical orientation; whole numbers stay exact."""
    raw = read_raw(Case(channel.name, (channel,)))
    voxels = raw.voxels[0]
    dtype = "int16" if (voxels == voxels.astype("int16")).all() else None
    write_image(target, voxels, raw.affine, dtype)


def run_handoff(scans: IndexConfig, selected: Path, config: HandoffConfig, out: Path, settings: Settings) -> Handed:
    """Hand off the selection of a results folder; a hand-off that is complete is left as it is.

    ``out`` is new, empty, or holds an earlier hand-off. Whatever else lies in it, such as label maps drawn since, is
    never removed.

    Raises
    ------
    UsageError : no selection there, ``out`` in use.  DataError : scans or labels that do not serve.
    """
    selection = read_selection(selected)
    writer(config.target)
    labels = match_labels(config.labels, selection.case_ids) if config.labels else {}
    inputs = {case_id: file_sha256(Path(path)) for case_id, path in labels.items()}
    plain = {"target": config.target, "name": config.name, "files": config.files, "picks": list(selection.case_ids)}
    if out.is_dir() and any(p.name != "work" for p in out.iterdir()) and not (out / "work" / PLACED).is_file():
        raise UsageError(f"{out} is not empty, and not a hand-off of firstscan; choose another --out")
    with open_workspace(out) as workspace:
        manifest = read_manifest(out)
        before = _before(workspace)
        if manifest is not None and before is not None:
            same = identity(manifest.config, manifest.inputs) == identity(plain, inputs)
            if same and all((out / name).exists() for name in before["placed"]):
                return Handed(config.target, out / before["open_this"], before["message"])
            if not same and not settings.overwrite:
                raise UsageError(
                    f"{out} holds another hand-off; choose another --out, or add --overwrite to replace it"
                )
        _clear(out, before, workspace)
        pool = index(scans, settings.progress)
        atomic_write(workspace.work / PLACED, dump_json(None))  # from here on, what lies in ``out`` comes from us
        handed = handoff(selection, pool, config, out, labels=labels)
        placed = [p for p in _inside(out, workspace) if p != out / MANIFEST]
        told = {
            "open_this": str(handed.open_this.relative_to(out)),
            "message": handed.message,
            "placed": [str(p.relative_to(out)) for p in placed],
        }
        atomic_write(workspace.work / PLACED, dump_json(told))
        files = [str(p.relative_to(out)) for p in placed if not p.is_symlink() and not p.name.endswith(".nii.gz")]
        write_manifest(out, kind="handoff", version=__version__, config=plain, inputs=inputs, files=files)
    return handed


def _linkable(channel: Channel) -> bool:
    return not channel.files and channel.component is None and channel.path.lower().endswith(".nii.gz")


def _before(workspace: Workspace) -> dict[str, Any] | None:
    """Return what the last hand-off into this folder left; None where there was none, or where it was cut short."""
    told = workspace.work / PLACED
    return load_json(told) if told.is_file() else None


def _clear(out: Path, before: dict[str, Any] | None, workspace: Workspace) -> None:
    """Remove what an earlier hand-off wrote.

    Raises
    ------
    UsageError : something else lies there; then nothing is removed.
    """
    inside = _inside(out, workspace)
    if before is not None:
        own = {MANIFEST, *before["placed"]}
        foreign = [str(p.relative_to(out)) for p in inside if str(p.relative_to(out)) not in own]
        if foreign:
            raise UsageError(
                f"{out} holds {len(foreign)} file(s) that came after the hand-off: {', '.join(foreign[:5])}; move them "
                "away, or choose another --out"
            )
    for path in (out / MANIFEST, *inside):  # the manifest goes first
        path.unlink(missing_ok=True)
    for folder in sorted((p for p in out.rglob("*") if p.is_dir() and not p.is_symlink()), reverse=True):
        if folder != workspace.work and not any(folder.iterdir()):
            folder.rmdir()


def _inside(out: Path, workspace: Workspace) -> list[Path]:
    """Return every file and link of a hand-off, sorted."""
    found = (p for p in out.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(p for p in found if workspace.work not in p.parents)
