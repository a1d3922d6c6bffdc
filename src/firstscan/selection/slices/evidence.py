"""What committed runs of firstscan say for plans by slice: the numbers that its advice rests on, in one place.

A run is entered here when its plan, scores and summary are in the repository and ``docs/results.md`` tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Compared:
    """Every ``every``-th slice of random scans against whole random scans at equal numbers of annotated slices.

    ``collection`` names the scans as a reader knows them; ``whole_scans`` are the amounts of work compared, as numbers
    of whole scans; ``difference`` is the mean over them of Dice with the plan minus Dice with whole scans, with its
    95 % interval; ``subpools`` is how many resampled pools it rests on and ``segmenter`` what was trained.
    """

    collection: str
    every: int
    whole_scans: tuple[int, ...]
    difference: float
    low: float
    high: float
    subpools: int
    segmenter: str


RUNS: tuple[Compared, ...] = (
    Compared("cardiac short axis, MRI", 4, (3, 5), 0.078, 0.046, 0.110, 12, "unet"),
    Compared("head and neck, CT", 4, (3, 5), 0.048, 0.016, 0.081, 12, "unet"),
    Compared("hippocampus, MRI", 4, (3, 5), 0.016, 0.012, 0.021, 12, "unet"),
    Compared("left atrium, MRI", 4, (3, 5), 0.034, 0.013, 0.054, 12, "unet"),
)
"""The confirmation run: ``benchmarks/results/evidence/together``, intervals for these collections."""
