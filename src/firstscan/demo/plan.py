"""Which cases the demo cohort holds: sites, patients, hard ones and faulty ones, before any voxel exists."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from firstscan.domain.errors import UsageError

from .sites import SITES, Site

Fault = Literal["none", "duplicate", "truncated"]
SMALLEST = 2 * len(SITES)


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """One file of the cohort.

    ``air`` in [0, 1] places the case between the tightest and the widest field of view; ``motion`` is 0 or the
    severity of motion; ``copy_of`` names the case that a duplicate repeats byte by byte.
    """

    case_id: str
    site: Site
    patient: str
    air: float
    motion: float = 0.0
    fault: Fault = "none"
    copy_of: str = ""

    @property
    def image(self) -> str:
        """Path of the image, relative to the cohort's folder."""
        return f"images/{self.case_id}{self.site.suffix}"

    @property
    def label(self) -> str:
        """Path of the tissue labels, relative to the cohort's folder."""
        return f"labels/{self.case_id}.nii.gz"


def child_rng(seed: int, *names: str) -> np.random.Generator:
    """Return the generator that belongs to ``seed`` and ``names``, whatever else was drawn before."""
    digest = hashlib.sha256("/".join([str(seed), "demo", *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def plan(n: int, *, seed: int) -> tuple[PlannedCase, ...]:
    """Return the ``n`` cases of the cohort, site by site.

    Every site gets the same spread of air around the head, and its hard cases sit symmetrically in that spread: the
    share of air tells neither the site nor the difficulty. The last file of the first site is truncated, and the last
    of the second site repeats its first.

    Raises
    ------
    UsageError : ``n`` below 8.
    """
    if n < SMALLEST:
        raise UsageError(f"the demo cohort needs at least {SMALLEST} cases, two a site; {n} were asked for")
    sizes = [n // len(SITES) + (k < n % len(SITES)) for k in range(len(SITES))]
    numbers = child_rng(seed, "patients").choice(np.arange(1000, 10000), size=n, replace=False)
    patients = np.split(np.array([f"P{number}" for number in numbers]), np.cumsum(sizes)[:-1])
    cases = [
        case
        for index, (site, size) in enumerate(zip(SITES, sizes, strict=True))
        # Two heads were scanned twice: the first of the third and fourth site are the first of the first and second.
        for case in _site_plan(site, index, [str(p) for p in _shared(patients, index)], seed)[:size]
    ]
    first, second = sizes[0] - 1, sizes[0] + sizes[1] - 1
    cases[first] = _with_fault(cases[first], "truncated")
    cases[second] = _with_fault(cases[second], "duplicate", original=cases[sizes[0]])
    return tuple(cases)


def _shared(patients: list[np.ndarray], site: int) -> np.ndarray:
    return patients[site] if site < 2 else np.concatenate([patients[site - 2][:1], patients[site][1:]])


def _site_plan(site: Site, index: int, patients: list[str], seed: int) -> list[PlannedCase]:
    size = len(patients)
    rng = child_rng(seed, "plan", site.name)
    hard = _spread(np.arange(1, size - 1), round(size / 5))
    ranks = _ranks(size, hard, index, rng)
    severity = dict(zip(hard, rng.uniform(0.9, 1.5, len(hard)), strict=True))
    return [
        PlannedCase(
            case_id=f"{site.name}_{i + 1:02d}",
            site=site,
            patient=patients[i],
            air=(float(ranks[i]) + float(rng.uniform(0.2, 0.8))) / size,
            motion=float(severity.get(i, 0.0)),
        )
        for i in range(size)
    ]


def _spread(candidates: np.ndarray, count: int) -> list[int]:
    """Return ``count`` of ``candidates``, evenly spaced."""
    count = min(count, len(candidates))
    return [int(candidates[int((k + 0.5) * len(candidates) / count)]) for k in range(count)]


def _ranks(size: int, hard: list[int], index: int, rng: np.random.Generator) -> np.ndarray:
    """Return a permutation of 0 … size−1 in which the hard cases take ranks mirrored about the middle."""
    half = max(size // 2, 1)
    mirrored = [r for k in range(half) for r in ((index + k) % half, size - 1 - (index + k) % half)][: len(hard)]
    ranks = np.empty(size, dtype=np.int64)
    ranks[hard] = mirrored
    easy = [i for i in range(size) if i not in hard]
    ranks[easy] = rng.permutation(sorted(set(range(size)) - set(mirrored)))
    return ranks


def _with_fault(case: PlannedCase, fault: Fault, original: PlannedCase | None = None) -> PlannedCase:
    same = original or case
    return PlannedCase(
        case_id=case.case_id,
        site=case.site,
        patient=same.patient,
        air=same.air,
        motion=same.motion,
        fault=fault,
        copy_of=original.case_id if original else "",
    )
