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


RUNS: tuple[Compared, ...] = ()
"""No run is committed yet."""
