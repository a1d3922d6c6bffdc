"""Models that were trained before: which kind a folder holds, and whether they fit the labels and the scans."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.segmentation.nnunet.segmenter import DONE as NNUNET
from firstscan.segmentation.nnunet.segmenter import NnUnet, told_of
from firstscan.segmentation.registry import segmenter
from firstscan.segmentation.unet.segmenter import SETTINGS, WEIGHTS, read_settings
from firstscan.store import file_sha256, identity, read_manifest

from .ensemble import Labelled


@dataclass(frozen=True)
class GivenModels:
    """Model folders of one kind, what they were trained on, and a hash of their content."""

    kind: Literal["unet", "nnunet"]
    folders: tuple[Path, ...]
    settings: Mapping[str, Any]
    classes: Mapping[str, int]
    channels: tuple[str, ...]
    content: str

    def nnunet(self, device: str) -> NnUnet:
        """Return the settings to predict with."""
        made = segmenter("nnunet", {**self.settings, "device": device if device in {"cuda", "mps"} else "cpu"})
        assert isinstance(made, NnUnet)
        return made


def given_models(places: Sequence[Path]) -> GivenModels:
    """Return the models in ``places``: folders that ``firstscan train`` wrote, or the folder ``model`` in them.

    Raises
    ------
    UsageError : no such folder, no model in it, the same one twice, or models of two kinds.
    DataError : models of different classes or channels.
    """
    found = [_model(place) for place in places]
    twice = next((str(p) for p, f in zip(places, found, strict=True) if found.count(f) > 1), None)
    if twice is not None:
        raise UsageError(f"--model {twice} is named twice; an ensemble is made of different models")
    kinds = {kind for _, kind in found}
    if len(kinds) > 1:
        raise UsageError("--model: unet and nnunet do not make one ensemble; name models of one kind")
    kind, folders = kinds.pop(), tuple(folder for folder, _ in found)
    told = [_told(folder, kind) for folder in folders]
    for name in ("classes", "channels", "settings"):
        other = next((f for f, t in zip(folders, told, strict=True) if t[name] != told[0][name]), None)
        if other is not None and not (kind == "unet" and name == "settings"):
            raise DataError(
                f"{folders[0]} and {other} were trained on different {name}: {_said(told[0][name])} against "
                f"{_said(next(t[name] for f, t in zip(folders, told, strict=True) if f == other))}; one ensemble needs "
                "the same"
            )
    content = identity(kind, [t["content"] for t in told])
    first = told[0]
    return GivenModels(kind, folders, first["settings"], first["classes"], tuple(first["channels"]), content)


def require_fit(models: GivenModels, labelled: Labelled, pool: Pool) -> None:
    """Raise DataError where the models know other classes than the labels, or were trained on other channels."""
    ordered = dict(sorted(labelled.classes.items(), key=lambda kv: kv[1]))
    theirs = dict(models.classes)
    remedy = "name a model of this task, or the classes with --classes"
    if sorted(theirs.values()) != sorted(ordered.values()):
        raise DataError(f"the model predicts {_said(theirs)}, the labels have {_said(ordered)}; {remedy}")
    moved = [name for name in ordered if name in theirs and theirs[name] != ordered[name]]
    if moved:
        raise DataError(
            f"the model has another order of classes than the labels: {moved[0]} is {theirs[moved[0]]} there and "
            f"{ordered[moved[0]]} here; {remedy}"
        )
    counts = {len(case.channels): case.case_id for case in reversed(pool.cases)}
    wanted = len(models.channels)
    if set(counts) != {wanted}:
        n, case_id = next((n, i) for n, i in counts.items() if n != wanted)
        raise DataError(
            f"the model was trained on {wanted} channel(s) ({', '.join(models.channels)}); {case_id} has {n}. Name a "
            "model of the same channels"
        )
    told = {str(case.metadata.get("modality") or "").lower() for case in pool} - {""}
    ct = {name.lower() == "ct" for name in models.channels} == {True}
    if told and (told == {"ct"}) != ct and (ct or told == {"ct"}):
        raise DataError(
            f"the model was trained on {'CT' if ct else ', '.join(models.channels)}, and these scans are "
            f"{', '.join(sorted(told)).upper()}; name a model of the same modality"
        )


def _model(place: Path) -> tuple[Path, Literal["unet", "nnunet"]]:
    if not place.is_dir():
        raise UsageError(f"--model {place} is not a folder; name the --out of firstscan train")
    for folder in (place, place / "model"):
        if (folder / SETTINGS).is_file() and (folder / WEIGHTS).is_file():
            return folder.absolute(), "unet"
        if (folder / NNUNET).is_file():
            return folder.absolute(), "nnunet"
    raise UsageError(f"--model {place} holds no trained model; name the --out of a finished firstscan train")


def _told(folder: Path, kind: str) -> dict[str, Any]:
    if kind == "unet":
        kept = read_settings(folder / SETTINGS)
        content = [file_sha256(folder / WEIGHTS), file_sha256(folder / SETTINGS)]
        return {
            "classes": kept["classes"],
            "channels": kept["channel_names"],
            "settings": kept["settings"],
            "content": content,
        }
    kept = told_of(folder)
    raw = next(folder.glob("raw/*/dataset.json"), None)
    if "classes" not in kept and raw is not None:  # trained before firstscan noted them
        told = json.loads(raw.read_text(encoding="utf-8"))
        classes = {n: v for n, v in told["labels"].items() if n not in {"background", "ignore"}}
        kept = {**kept, "classes": classes, "channel_names": list(told["channel_names"].values())}
    if "classes" not in kept:
        raise DataError(f"{folder} does not say what it was trained on; train it again with: firstscan train")
    manifest = read_manifest(folder.parent)
    own = dict(manifest.config.get("segmenter", {})) if manifest is not None else {}
    own.pop("name", None)
    checkpoints = [[p.name, file_sha256(p)] for p in sorted(folder.glob("results/*/*/fold_*/checkpoint_final.pth"))]
    content = [kept, checkpoints]
    return {"classes": kept["classes"], "channels": kept["channel_names"], "settings": own, "content": content}


def _said(what: Any) -> str:
    if isinstance(what, Mapping):
        return ", ".join(f"{name} = {value}" for name, value in what.items())
    return ", ".join(map(str, what)) if isinstance(what, Sequence) else str(what)
