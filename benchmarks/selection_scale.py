"""Selection at scale against the straightforward scikit-learn version of it, in one run.

python benchmarks/selection_scale.py              N = 20,000 dim 768 B = 200: time, memory, inertia, recall
python benchmarks/selection_scale.py --strategies every strategy at that size
python benchmarks/selection_scale.py --million    N = 1,000,000 dim 256 B = 1,000, ours only
python benchmarks/selection_scale.py --growth F   N = 10³ … 10⁶, a plot of the times in F
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time

import numpy as np

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import select, strategies


def pool(cases: int, dim: int, groups: int = 60, latent: int = 24) -> FeatureTable:
    """A mixture on a low-dimensional sheet with noise in every dimension, as embeddings of scans are."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(groups, latent)).astype(np.float32)
    sheet = rng.normal(size=(latent, dim)).astype(np.float32)
    x = np.empty((cases, dim), dtype=np.float32)
    for start in range(0, cases, 50_000):
        n = min(50_000, cases - start)
        inner = centres[rng.integers(groups, size=n)] + 0.6 * rng.standard_normal((n, latent), dtype=np.float32)
        x[start : start + n] = inner @ sheet + 0.5 * rng.standard_normal((n, dim), dtype=np.float32)
    return FeatureTable(tuple(f"c{i:07d}" for i in range(cases)), x, rng.random(cases))


def straightforward(table: FeatureTable, budget: int) -> float:
    """Typicality, strata and nothing else, as one writes them with scikit-learn; return the inertia."""
    from sklearn.cluster import KMeans
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    NearestNeighbors(n_neighbors=21).fit(table.embeddings.astype(float)).kneighbors(table.embeddings.astype(float))
    return float(
        KMeans(budget, n_init=10, max_iter=300, random_state=42)
        .fit(StandardScaler().fit_transform(table.embeddings))
        .inertia_
    )


def apart(work, *arguments):
    """Run ``work`` in a process of its own; return (result, wall seconds, processor seconds, peak GiB)."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    answer = ours.recv()
    process.join()
    return answer


def _measured(pipe, work, arguments):
    begin, cpu = time.perf_counter(), time.process_time()
    try:
        result = work(*arguments)
    except UsageError as refused:
        result = str(refused)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pipe.send((result, time.perf_counter() - begin, time.process_time() - cpu, peak))


def run_ours(cases: int, dim: int, budget: int, strategy: str):
    table = pool(cases, dim)
    begin, cpu = time.perf_counter(), time.process_time()
    selection = select(table, budget, strategy)
    facts = {k: selection.diagnostics.get(k) for k in ("inertia", "neighbour_recall", "neighbours_exact")}
    return facts | {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu, "picks": len(selection)}


def run_theirs(cases: int, dim: int, budget: int):
    table = pool(cases, dim)
    begin, cpu = time.perf_counter(), time.process_time()
    inertia = straightforward(table, budget)
    return {"inertia": inertia, "wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


def show(name, answer):
    result, _, _, peak = answer
    if isinstance(result, str):
        print(f"{name:32s} refused: {result}")
        return
    line = f"{name:32s} wall {result['wall']:7.1f} s  processor {result['cpu']:7.1f} s  peak {peak:5.2f} GiB"
    extra = {k: v for k, v in result.items() if k in {"inertia", "neighbour_recall"} and v is not None}
    print(line, " ".join(f"{k} {v:.6g}" for k, v in extra.items()), flush=True)


def growth(figure: str) -> None:
    """Time ``cscs`` over N and draw it beside N·log N."""
    import plotly.graph_objects as go

    sizes = [10**3, 10**4, 10**5, 10**6]
    walls = []
    for cases in sizes:
        answer = apart(run_ours, cases, 64, 100, "cscs")
        show(f"cscs N={cases:,} dim 64 B 100", answer)
        walls.append(answer[0]["wall"])
    ideal = [walls[1] * n * np.log(n) / (sizes[1] * np.log(sizes[1])) for n in sizes]
    plot = go.Figure([go.Scatter(x=sizes, y=walls, name="cscs"), go.Scatter(x=sizes, y=ideal, name="N log N")])
    plot.update_xaxes(type="log", title="cases").update_yaxes(type="log", title="seconds")
    plot.write_html(figure)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--strategies", action="store_true")
    options.add_argument("--million", action="store_true")
    options.add_argument("--growth", metavar="HTML")
    chosen = options.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; processor seconds are free of other people's work")
    if chosen.growth:
        growth(chosen.growth)
    elif chosen.million:
        show("cscs N=1,000,000 dim 256 B 1,000", apart(run_ours, 1_000_000, 256, 1_000, "cscs"))
    elif chosen.strategies:
        for name in strategies():
            show(f"{name} N=20,000 dim 768 B 200", apart(run_ours, 20_000, 768, 200, name))
    else:
        ours = apart(run_ours, 20_000, 768, 200, "cscs")
        show("cscs N=20,000 dim 768 B 200", ours)
        theirs = apart(run_theirs, 20_000, 768, 200)
        show("scikit-learn, ten restarts", theirs)
        print(
            f"ratio wall {theirs[0]['wall'] / ours[0]['wall']:.1f}, processor {theirs[0]['cpu'] / ours[0]['cpu']:.1f}"
        )
        print(f"inertia above scikit-learn: {100 * (ours[0]['inertia'] / theirs[0]['inertia'] - 1):.2f} %")


if __name__ == "__main__":
    sys.exit(main())
