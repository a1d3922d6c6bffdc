"""What the page says about each pick: its signals, its stratum, and the scans it stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from firstscan.domain.arrays import PerCase
from firstscan.domain.case import MetadataValue
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Pick, Selection
from firstscan.selection.history import of_earlier_strata

from .charts.theme import stratum_style
from .charts.thumbnails import data_uri, stretched
from .data import PLANES, ReportData
from .privacy import without_folders
from .words import significant

NEIGHBOURS_SHOWN = 3
TIES_LOOKED_AT = 8
MOST_CARDS = 200
FEW_CARDS = 40
THUMBNAIL_CHARACTERS = 7_500_000
WORST_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An unpicked scan near a pick: its distance in embedding units, and an axial picture where there is one."""

    case_id: str
    distance: float
    image: str


@dataclass(frozen=True, slots=True)
class Card:
    """One pick as the page shows it; percentiles are shares of the other scans that lie below, 0 to 100."""

    rank: int
    case_id: str
    reason: str
    stratum: int | None
    stratum_size: int
    style: tuple[str, str]
    score: float | None
    typicality: float | None
    typicality_percentile: float | None
    uncertainty: float | None
    uncertainty_percentile: float | None
    images: tuple[tuple[str, str], ...]
    icon: str
    neighbours: tuple[Neighbour, ...]
    findings: tuple[Finding, ...]
    recurrence: float | None
    metadata: tuple[tuple[str, str], ...]

    @property
    def numbers(self) -> str:
        """What the two scales mean, and the signals as numbers."""
        named = (("T", self.typicality), ("U", self.uncertainty), ("score", self.score))
        values = ", ".join(f"{name} = {significant(value)}" for name, value in named if value is not None)
        line = f"Percentiles of the pool; {values}"
        if self.recurrence is not None:
            line += f"; picked in {100 * self.recurrence:.0f}\u00a0% of the repeats"
        return line


def percentiles(values: PerCase) -> PerCase:
    """Return for each case the share of the other cases that lie below it, 0 to 100 (ties share their mean)."""
    n = len(values)
    if n < 2:
        return np.full(n, 50.0)
    return np.asarray((rankdata(values) - 1) / (n - 1) * 100, dtype=np.float64)


def nearest_unpicked(
    features: FeatureTable, picked: Sequence[str], of: Sequence[str], *, k: int = NEIGHBOURS_SHOWN
) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return for each case in ``of`` its ``k`` nearest scans that were not ``picked``, with Euclidean distances.

    Equal distances are ordered by case id, so the order of rows does not matter.
    """
    row = {case_id: i for i, case_id in enumerate(features.case_ids)}
    chosen = frozenset(picked)
    others = np.array([i for i, case_id in enumerate(features.case_ids) if case_id not in chosen], dtype=np.intp)
    if len(others) == 0 or not of:
        return dict.fromkeys(of, ())
    wanted = features.embeddings[[row[case_id] for case_id in of]]
    search = NearestNeighbors(n_neighbors=min(k + TIES_LOOKED_AT, len(others)), algorithm="brute")
    candidates = search.fit(features.embeddings[others]).kneighbors(wanted, return_distance=False)
    found: dict[str, tuple[tuple[str, float], ...]] = {}
    for case_id, own, near in zip(of, wanted, others[candidates], strict=True):
        offsets = features.embeddings[near].astype(np.float64) - own
        ordered = sorted(
            zip(np.linalg.norm(offsets, axis=1).tolist(), near.tolist(), strict=True), key=_by_name(features)
        )
        found[case_id] = tuple((features.case_ids[i], distance) for distance, i in ordered[:k])
    return found


def _by_name(features: FeatureTable) -> Callable[[tuple[float, int]], tuple[float, str]]:
    return lambda pair: (pair[0], features.case_ids[pair[1]])


def worst(findings: Sequence[Finding], picked: Sequence[str]) -> tuple[str, ...]:
    """Return the cases whose warnings are most worth a look: picks, then most warnings, then farthest past a limit."""
    warnings = [f for f in findings if f.severity == "warn"]
    counts, chosen = Counter(f.case_id for f in warnings), frozenset(picked)
    excess = dict.fromkeys(counts, 0.0)
    for finding in warnings:
        excess[finding.case_id] = max(excess[finding.case_id], _excess(finding))
    order = sorted(counts, key=lambda c: (c not in chosen, -counts[c], -excess[c], c))
    return tuple(order[:WORST_SHOWN])


def _excess(finding: Finding) -> float:
    """Return how many times a measured value lies beyond its limit, either way; 0 where that is not known."""
    if finding.measured is None or finding.threshold is None or min(finding.measured, finding.threshold) <= 0:
        return 0.0
    ratio = finding.measured / finding.threshold
    return max(ratio, 1 / ratio)


def cases_shown(selection: Selection, features: FeatureTable, findings: Sequence[Finding] = ()) -> tuple[str, ...]:
    """Return the ids of the cases whose thumbnails a report can use: picks, their neighbours, the worst warned."""
    picked = selection.case_ids[:MOST_CARDS]
    near = nearest_unpicked(features, selection.case_ids, picked)
    ids = [*picked, *(name for pairs in near.values() for name, _ in pairs), *worst(findings, selection.case_ids)]
    return tuple(dict.fromkeys(ids))


def cards(data: ReportData) -> tuple[Card, ...]:
    """Return a card for each pick, best first; pictures stop where they would make the file too large."""
    shown = data.selection.picks[:MOST_CARDS]
    near = nearest_unpicked(data.features, data.selection.case_ids, [p.case_id for p in shown])
    row = {case_id: i for i, case_id in enumerate(data.features.case_ids)}
    t, u = data.features.typicality, data.features.uncertainty
    t_percentile = None if t is None else percentiles(t)
    u_percentile = None if u is None else percentiles(u)
    sizes, earlier = Counter(data.selection.strata.values()), of_earlier_strata(data.selection)
    by_case: dict[str, list[Finding]] = {}
    for finding in data.findings:
        by_case.setdefault(finding.case_id, []).append(finding)
    left = THUMBNAIL_CHARACTERS
    made: list[Card] = []
    for pick in shown:
        i = row[pick.case_id]
        images, icon, neighbours = _pictures(data, pick, near[pick.case_id], room=left > 0)
        left -= sum(len(uri) for _, uri in images) + len(icon) + sum(len(n.image) for n in neighbours)
        made.append(
            Card(
                rank=pick.rank,
                case_id=pick.case_id,
                reason=without_folders(pick.reason),
                stratum=pick.stratum,
                stratum_size=0 if pick.stratum is None or pick.case_id in earlier else sizes[pick.stratum],
                style=stratum_style(pick.stratum),
                score=pick.score,
                typicality=pick.typicality if t is None else float(t[i]),
                typicality_percentile=None if t_percentile is None else float(t_percentile[i]),
                uncertainty=None if u is None else float(u[i]),
                uncertainty_percentile=None if u_percentile is None else float(u_percentile[i]),
                images=images,
                icon=icon,
                neighbours=neighbours,
                findings=tuple(by_case.get(pick.case_id, ())),
                recurrence=None if data.stability is None else data.stability.frequency.get(pick.case_id, 0.0),
                metadata=_metadata(data.metadata, pick.case_id) if data.show_metadata else (),
            )
        )
    return tuple(made)


def _pictures(
    data: ReportData, pick: Pick, near: Sequence[tuple[str, float]], *, room: bool
) -> tuple[tuple[tuple[str, str], ...], str, tuple[Neighbour, ...]]:
    planes = data.thumbnails.get(pick.case_id) if room else None
    few = len(data.selection) <= FEW_CARDS
    images: tuple[tuple[str, str], ...] = ()
    icon = ""
    if planes is not None:
        clear = stretched(planes)
        side = 192 if few else 96
        images = tuple((name, data_uri(plane, side=side)) for name, plane in zip(PLANES, clear, strict=True))
        icon = data_uri(clear[0], side=72 if few else 48)
    neighbours = []
    for case_id, distance in near:
        picture = data.thumbnails.get(case_id) if room else None
        image = "" if picture is None else data_uri(stretched(picture)[0], side=96 if few else 64)
        neighbours.append(Neighbour(case_id, distance, image))
    return images, icon, tuple(neighbours)


def _metadata(columns: Mapping[str, Mapping[str, MetadataValue]], case_id: str) -> tuple[tuple[str, str], ...]:
    values = ((name, column.get(case_id)) for name, column in columns.items())
    return tuple((name, str(value)) for name, value in values if value is not None)
