"""Results → ``report.html``."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from firstscan._version import __version__
from firstscan.domain.case import Case, Channel, MetadataValue
from firstscan.domain.errors import ScanError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Selection
from firstscan.domain.volume import Modality
from firstscan.imaging import read_volume
from firstscan.imaging import thumbnails as draw
from firstscan.report import NO_NETWORK, LearnedFeatures, ReportData, TrainingRow, cases_shown, render
from firstscan.selection import adjust
from firstscan.selection.geometry import typicality
from firstscan.steps.measuring.check import Checked
from firstscan.steps.measuring.instant import SIZE
from firstscan.steps.running.results import REPORT
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.selecting.trust import correlations, repeats, stated_share
from firstscan.store import (
    CaseCache,
    Workspace,
    atomic_write,
    dump_json,
    identity,
    load_json,
    open_workspace,
    read_features,
    read_findings,
    read_manifest,
    read_selection,
    write_manifest,
)

from .context import afterwards

STORY = "story.json"
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "SimpleITK", "torch", "monai", "lightning-fabric", "plotly")


@dataclass(frozen=True)
class Story:
    """What a report tells besides the result files; kept in ``work/story.json`` so that it can be drawn again.

    ``neutral``: the scans have neutral names, and the source is not told.
    """

    source: str
    found: int
    left_out: int
    cases: Mapping[str, Case]
    modalities: Mapping[str, Modality]
    fingerprints: Mapping[str, str]
    findings: tuple[Finding, ...]
    history: tuple[TrainingRow, ...]
    learned: LearnedFeatures | None
    settings: Mapping[str, Any]
    show_metadata: bool = False
    neutral: bool = False

    @property
    def paths(self) -> dict[str, tuple[str, ...]] | None:
        """The files of each scan as results may name them; None where scans have neutral names."""
        return None if self.neutral else {i: case.paths for i, case in self.cases.items()}


def gathered(
    checked: Checked, crops: Any, learned: Any, settings: Mapping[str, Any], *, found: int, checkpoint: str
) -> Story:
    """Gather what happened up to the feature table; ``learned`` is None where no network was used."""
    modalities = {i: checked.summaries[i].modality for i in checked.pool.case_ids}
    modality = Counter(modalities.values()).most_common(1)[0][0]
    return Story(
        source="" if checked.pool.pseudonyms is not None else checked.pool.source,
        neutral=checked.pool.pseudonyms is not None,
        found=found,
        left_out=found - len(checked.pool),
        cases={case.case_id: case for case in checked.pool},
        modalities=modalities,
        fingerprints=checked.fingerprints,
        findings=checked.pool.findings,
        history=() if learned is None else tuple(TrainingRow(**asdict(row)) for row in learned.history),
        learned=_without_network(crops, modality)
        if learned is None
        else _with_network(crops, learned, modality, region=settings["region"], checkpoint=checkpoint),
        settings=settings,
    )


def _with_network(crops: Any, learned: Any, modality: Modality, *, region: str, checkpoint: str) -> LearnedFeatures:
    from firstscan.learning.encoders import parameter_count

    preset = learned.preset
    return LearnedFeatures(
        encoder=preset.encoder,
        crop_voxels=preset.size,
        spacing_mm=crops.spacing_mm,
        masked_fraction=preset.masked_fraction,
        window_voxels=preset.window,
        trained_steps=len(learned.history),
        region=region,
        modality=modality,
        channels=crops.channels,
        checkpoint=checkpoint,
        parameters=parameter_count(preset.encoder, len(crops.channels)),
    )


def _without_network(crops: Any, modality: Modality) -> LearnedFeatures:
    return LearnedFeatures(
        encoder=NO_NETWORK,
        crop_voxels=SIZE,
        spacing_mm=crops.spacing_mm,
        masked_fraction=0.0,
        window_voxels=0,
        trained_steps=0,
        views=0,
        modality=modality,
        channels=crops.channels,
    )


def shows_metadata(out: Path) -> bool:
    """Return whether the report in ``out`` shows metadata."""
    kept = out / "work" / STORY
    return kept.is_file() and bool(load_json(kept).get("show_metadata", False))


def report(out: Path, settings: Settings) -> Path:
    """Draw the report of a finished ``firstscan select`` again.

    Raises
    ------
    UsageError : ``out`` holds no such result.
    """
    manifest = read_manifest(out) if out.is_dir() else None
    kept = out / "work" / STORY
    if manifest is None or REPORT not in manifest.files or not kept.is_file():
        raise UsageError(
            f"{out} holds no finished selection. Make one with: firstscan select SOURCE --budget B --out {out}"
        )
    with open_workspace(out) as workspace:
        again = told(load_json(kept), read_findings(out / "findings.csv"))
        again = replace(again, show_metadata=settings.show_metadata)
        write_report(Run(workspace, settings), read_selection(out), read_features(out), again)
        write_manifest(
            out,
            kind=manifest.kind,
            version=manifest.version,
            config=manifest.config,
            inputs=manifest.inputs,
            files=manifest.files,
        )
    return out / REPORT


def write_report(run: Run, selection: Selection, features: FeatureTable, story: Story) -> None:
    """Write ``report.html``, and what is needed to draw it again."""
    keep_story(run.workspace, story)
    used = _as_selected_on(selection, features)
    data = ReportData(
        selection=selection,
        features=used,
        source=story.source,
        scanned=story.found,
        left_out=story.left_out,
        findings=story.findings,
        thumbnails=thumbnails(run, story, cases_shown(selection, features, story.findings)),
        history=story.history,
        settings=story.settings,
        versions={"firstscan": __version__, "Python": platform.python_version()} | {n: version(n) for n in _LIBRARIES},
        audit=correlations(selection.diagnostics),
        stated_share=stated_share(selection.diagnostics),
        stability=repeats(selection.diagnostics),
        learned=None if story.learned is None else replace(story.learned, neighbours=_neighbours(selection)),
        afterwards=afterwards(run, selection, used, story.settings, show_values=story.show_metadata),
        metadata=_columns(story.cases),
        show_metadata=story.show_metadata,
    )
    with run.stage("Writing the report", 1) as progress:
        atomic_write(run.workspace.out / REPORT, render(data))
        progress.advance()


def keep_story(workspace: Workspace, story: Story) -> None:
    """Write ``work/story.json``, from which :func:`told` makes the story again."""
    kept = {k: v for k, v in asdict(replace(story, cases={}, findings=())).items() if k not in {"cases", "findings"}}
    kept["cases"] = {i: [asdict(c) for c in case.channels] for i, case in story.cases.items()}
    kept["metadata"] = {i: dict(case.metadata) for i, case in story.cases.items()}
    atomic_write(workspace.work / STORY, dump_json(kept))


def thumbnails(run: Run, story: Story, case_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Return three planes a case; a scan that cannot be read any more has none, and that is said."""
    cache = CaseCache(run.workspace.folder("thumbnails"))
    known = [i for i in case_ids if i in story.cases]
    paths = {i: _planes_path(cache, story, i) for i in known}
    planes = {i: array for i in known if (array := cache.read_or_none(paths[i], np.load)) is not None}
    todo = [(i, (story.cases[i], story.modalities[i])) for i in known if i not in planes]
    with run.stage("Drawing scans", len(known)) as progress:
        progress.advance(len(planes))
        for i, result in run.cases(_draw, todo):
            if isinstance(result, ScanError):
                progress.say(f"No picture of {i}: {result}")
                continue
            if isinstance(result, Exception):
                raise result
            cache.write_array(paths[i], result)
            planes[i] = result
            progress.advance()
    return planes


def kept_planes(workspace: Workspace, story: Story, case_id: str) -> np.ndarray | None:
    """Return three planes of one case (3, h, w) uint8 where they were drawn before, else None."""
    cache = CaseCache(workspace.folder("thumbnails"))
    kept = cache.read_or_none(_planes_path(cache, story, case_id), np.load)
    return None if kept is None else np.asarray(kept)


def planes_of(workspace: Workspace, story: Story, case_id: str) -> np.ndarray:
    """Return three planes of one case, read here and now unless they were drawn before.

    Raises
    ------
    ScanError : the scan cannot be read any more.
    """
    kept = kept_planes(workspace, story, case_id)
    if kept is None:
        kept = _draw((story.cases[case_id], story.modalities[case_id]))
        cache = CaseCache(workspace.folder("thumbnails"))
        cache.write_array(_planes_path(cache, story, case_id), kept)
    return kept


def _planes_path(cache: CaseCache, story: Story, case_id: str) -> Path:
    key = identity(__version__, story.fingerprints[case_id], story.modalities[case_id])
    return cache.path(case_id, key, ".npy")


def _draw(item: tuple[Case, Modality]) -> np.ndarray:
    case, modality = item
    return draw(read_volume(case, modality=modality))


def _neighbours(selection: Selection) -> int:
    return int(selection.options.get("neighbours") or 20)


def _as_selected_on(selection: Selection, features: FeatureTable) -> FeatureTable:
    """Return the table with the signals that the strategy saw: adjusted, where that was asked for."""
    if columns := selection.diagnostics.get("adjusted_for"):
        return adjust(features, columns)
    if features.typicality is not None:
        return features
    return replace(features, typicality=typicality(features.embeddings, _neighbours(selection)).values)


def told(kept: dict[str, Any], findings: tuple[Finding, ...]) -> Story:
    """Return the story that :func:`keep_story` kept."""
    learned = kept["learned"]
    return Story(
        source=kept["source"],
        found=kept["found"],
        left_out=kept["left_out"],
        cases={
            i: Case(i, tuple(_channel(c) for c in channels), kept.get("metadata", {}).get(i, {}))
            for i, channels in kept["cases"].items()
        },
        modalities=kept["modalities"],
        fingerprints=kept["fingerprints"],
        findings=findings,
        history=tuple(TrainingRow(**row) for row in kept["history"]),
        learned=None if learned is None else LearnedFeatures(**{**learned, "channels": tuple(learned["channels"])}),
        settings=kept["settings"],
        show_metadata=kept.get("show_metadata", False),
        neutral=kept.get("neutral", False),
    )


def _columns(cases: Mapping[str, Case]) -> dict[str, dict[str, MetadataValue]]:
    """Return the metadata as columns; what came with a person's name has left it behind when it was read."""
    names = dict.fromkeys(name for case in cases.values() for name in case.metadata)
    return {name: {i: case.metadata.get(name) for i, case in cases.items()} for name in names}


def _channel(kept: dict[str, Any]) -> Channel:
    return Channel(**{**kept, "files": tuple(kept["files"])})
