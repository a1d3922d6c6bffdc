"""What a plan by slice has to say of single scans: those it could not take, and those that lie askew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Selection
from firstscan.selection.slices.planning import TILTED
from firstscan.selection.slices.stacks import stacks_of


def slice_findings(
    selection: Selection, features: FeatureTable, paths: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """Return a warning for each scan that no slices could be planned in, and a note for each planned scan that tilts.

    ``paths`` says where scans lie, by case id. Nothing for a batch of whole scans.
    """
    if selection.slices is None:
        return ()
    where = paths or {}
    refused: Mapping[str, str] = selection.diagnostics.get("slices_refused", {})
    found = [
        Finding(
            "slices-unplannable",
            "warn",
            case_id,
            f"no slices were planned in it, and it was not offered for picking: {why}",
            "lower --least or widen --range to have it offered, or annotate it whole",
            path=where.get(case_id, ""),
        )
        for case_id, why in refused.items()
    ]
    for case in selection.slices:
        scan = features.geometry_of(case.case_id)
        tilt = 0.0 if scan is None else float(stacks_of([scan], case.plane, None).tilt[0])
        if tilt > TILTED:
            message = (
                f"it is tilted {tilt:.0f}° to the {case.plane} plane: the planned slices are stored ones, along axis "
                f"{case.axis}, and a viewer that shows anatomical planes cuts across them"
            )
            remedy = "open it in its stored slices, or name another plane with --slice-axis"
            path = where.get(case.case_id, "")
            found.append(Finding("slices-oblique", "note", case.case_id, message, remedy, path, round(tilt, 1), TILTED))
    return tuple(found)


def in_words(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each code: how many scans it is about, and the first of them as an example."""
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    return [
        f"{len(found)} scan(s) with {code}, such as {found[0].case_id}: {found[0].message}; {found[0].remedy}"
        for code, found in by_code.items()
    ]
