"""What is said of hand-off folders before a label map is opened: missing, doubled, unfinished, unknown ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from firstscan.domain.finding import Finding
from firstscan.handoff.returned import RETURNS

from .returned import Part


def about_parts(parts: Sequence[Part]) -> list[Finding]:
    """Return what is odd about files: several for one scan, older versions, untouched ones, files of no pick."""
    return [found for part in parts for found in (*_of_files(part), *_of_strangers(part))]


def about_missing(parts: Sequence[Part], usable: Mapping[str, Collection[str]]) -> list[Finding]:
    """Return a finding for each label map that was not there; where another reader's serves, it is a warning."""
    findings = []
    for part in parts:
        place = RETURNS[part.trail.target][0]
        for step in part.trail.steps:
            found = part.returned.labels[step.case_id]
            if found.path is not None or found.rivals:
                continue
            begun = " (begun, but not finished)" if found.unfinished else ""
            message = f"{part.reader}: no label map came back{begun}"
            remedy = f"save it below {place}/ as {step.name}.nii.gz, and collect again"
            severity = "warn" if step.case_id in usable else "drop"
            findings.append(
                Finding("label-missing", severity, step.case_id, message, remedy, path=str(part.trail.folder))  # type: ignore[arg-type]
            )
    return findings


def _of_files(part: Part) -> list[Finding]:
    findings = []
    for step in part.trail.steps:
        found = part.returned.labels[step.case_id]
        if found.rivals:
            message = (
                f"{part.reader}: {len(found.rivals)} label maps fit, none newer than the others: {_named(found.rivals)}"
            )
            findings.append(
                Finding("label-doubled", "drop", step.case_id, message, "keep one of them", path=str(found.rivals[0]))
            )
        if found.older:
            message = f"{part.reader}: {_named(found.older)}: an older version, not taken"
            remedy = "nothing to do, unless the older one is the right one: then remove the newer"
            findings.append(Finding("label-older", "note", step.case_id, message, remedy, path=str(found.older[0])))
        if found.untouched and step.prediction is None:  # of those, steps/corrections.py speaks
            message = f"{part.reader}: the label map is as it was handed over"
            remedy = "look whether it was meant to be corrected"
            findings.append(Finding("label-untouched", "note", step.case_id, message, remedy, path=str(found.path)))
    return findings


def _of_strangers(part: Part) -> list[Finding]:
    example = part.trail.steps[0].name
    remedy = f"name it after a pick, as {example}.nii.gz, or move it away"
    return [
        Finding("label-unknown", "warn", "", f"{part.reader}: {path.name} belongs to no pick", remedy, path=str(path))
        for path in part.returned.unknown
    ]


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:3])
