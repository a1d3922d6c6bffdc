"""How often the decision analysis of studies errs: level and power by simulation, through the product's own functions.

python benchmarks/level_power.py [--studies 2000]

Batches of one strategy differ by the standard deviations that random batches had in the committed runs (3 and 5 scans
together), test cases by a further part for each batch. Three strategies are compared with random draws, Holm-adjusted,
on the mean over budgets and over four data sets of equal weight.
"""

from __future__ import annotations

import argparse

import numpy as np

from _measure import machine
from firstscan.metrics.resampled import paired, these
from firstscan.metrics.significance import holm

DEVIATIONS = (0.011, 0.048, 0.044, 0.085)
"""SD of random batches: hippocampus, cardiac, left atrium, head and neck, mean of both budgets."""
CASES, BY_CASE = 20, 0.03
DESIGNS = {"12 sub-pools, 2 draws, 2 budgets (run)": (12, 2, 2), "24, 3, 3": (24, 3, 3), "40, 3, 3": (40, 3, 3)}


def study(rng: np.random.Generator, design: tuple[int, int, int], effects: tuple[float, ...]) -> tuple[float, ...]:
    """Return the adjusted p-value of each strategy in one simulated study."""
    subpools, draws, budgets = design
    parts: list[list] = [[] for _ in effects]
    for deviation in DEVIATIONS:
        arms = rng.normal(0, deviation, (len(effects) + draws, budgets, subpools, 1))
        scores = arms + rng.normal(0, BY_CASE, (*arms.shape[:3], CASES))
        random = scores[len(effects) :].mean(axis=0)
        for i, effect in enumerate(effects):
            parts[i].append(paired((scores[i] + effect - random).mean(axis=0)))
    return holm([these(p).pvalue for p in parts])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--studies", type=int, default=2000)
    given = options.parse_args()
    print(machine())
    for name, design in DESIGNS.items():
        rng = np.random.default_rng(0)
        none = [min(study(rng, design, (0.0, 0.0, 0.0))) < 0.05 for _ in range(given.studies)]
        found = [study(rng, design, (0.02, 0.0, 0.0))[0] < 0.05 for _ in range(given.studies)]
        wrong, right = np.mean(none), np.mean(found)
        print(f"{name}: any of three like random called different {wrong:.3f}; a true 0.02 found {right:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
