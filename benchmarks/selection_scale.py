"""Selection at scale against the straightforward scikit-learn version of it, in one run.

python benchmarks/selection_scale.py               N = 20,000 dim 768 B = 200: time, memory, inertia, recall, ratio
python benchmarks/selection_scale.py --strategies  every strategy at that size
python benchmarks/selection_scale.py --million     N = 1,000,000 dim 256 B = 1,000, ours only
python benchmarks/selection_scale.py --growth      N = 10³ … 10⁶ dim 256 B = 200: how the work grows, and its picture
  --save  adds what is printed to benchmarks/results/<today>-selection.txt

Processor seconds count this process alone; wall times are longer while others use the machine.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import multiprocessing
import resource
import sys
import time
from pathlib import Path

import numpy as np

from _measure import machine
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import select, strategies

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "img" / "selection_growth.svg"
LINES: list[str] = []


def say(line: str) -> None:
    LINES.append(line)
    print(line, flush=True)


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
    select(pool(300, 8), 5, strategy)  # the libraries are loaded
    table = pool(cases, dim)
    begin, cpu = time.perf_counter(), time.process_time()
    selection = select(table, budget, strategy)
    facts = {k: selection.diagnostics.get(k) for k in ("inertia", "neighbour_recall")}
    return facts | {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


def run_theirs(cases: int, dim: int, budget: int):
    table = pool(cases, dim)
    begin, cpu = time.perf_counter(), time.process_time()
    inertia = straightforward(table, budget)
    return {"inertia": inertia, "wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


def show(name, answer):
    result, _, _, peak = answer
    if isinstance(result, str):
        say(f"{name:34s} refused: {result}")
        return
    line = f"{name:34s} wall {result['wall']:7.1f} s  processor {result['cpu']:7.1f} s  peak {peak:5.2f} GiB"
    extra = {k: v for k, v in result.items() if k in {"inertia", "neighbour_recall"} and v is not None}
    say(" ".join([line, *(f" {k} {v:.6g}" for k, v in extra.items())]))


def growth() -> None:
    """Time ``cscs`` over N, print how it grows from one size to the next, and draw it beside N log N."""
    sizes, seconds = [10**3, 10**4, 10**5, 10**6], []
    for cases in sizes:
        answer = apart(run_ours, cases, 256, 200, "cscs")
        show(f"cscs N={cases:,} dim 256 B 200", answer)
        seconds.append(answer[0]["cpu"])
    say("processor seconds, from one size to the next (N log N in brackets):")
    for (n, a), (m, b) in itertools.pairwise(zip(sizes, seconds, strict=True)):
        ideal = m * np.log(m) / (n * np.log(n))
        say(f"  {n:,} to {m:,}: times {b / a:.1f} ({ideal:.1f}), exponent {np.log(b / a) / np.log(m / n):.2f}")
    draw(sizes, seconds)
    say(f"picture: {PICTURE.relative_to(ROOT)}")


def draw(sizes: list[int], seconds: list[float]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.hashsalt": "firstscan", "font.family": "DejaVu Sans", "font.size": 10}
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    n = np.geomspace(sizes[0], sizes[-1], 50)
    ideal = seconds[1] * n * np.log(n) / (sizes[1] * np.log(sizes[1]))
    axes.plot(n, ideal, color="#8a8a8a", linestyle="--", linewidth=1.2)
    axes.plot(sizes, seconds, color="#1f5fa8", marker="o", linewidth=2)
    for size, value in zip(sizes, seconds, strict=True):
        place = {"xytext": (7, -4), "ha": "left", "va": "top", "textcoords": "offset points"}
        axes.annotate(f"{value:.2g} s", (size, value), color="#1f5fa8", **place)
    middle = len(n) * 2 // 3
    axes.annotate(
        "N log N", (n[middle], ideal[middle]), xytext=(-8, 6), ha="right", textcoords="offset points", color="#666666"
    )
    axes.set(xscale="log", yscale="log", xlabel="scans in the pool", ylabel="processor seconds")
    axes.set_xlim(sizes[0] / 1.6, sizes[-1] * 2.6)
    axes.set_title("cscs with typicality, 256 dimensions, 200 picks", loc="left", fontsize=11)
    axes.grid(which="major", color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Date": None})


def against_scikit_learn() -> None:
    ours = apart(run_ours, 20_000, 768, 200, "cscs")
    show("cscs N=20,000 dim 768 B 200", ours)
    theirs = apart(run_theirs, 20_000, 768, 200)
    show("scikit-learn, ten restarts", theirs)
    wall, cpu = (theirs[0][k] / ours[0][k] for k in ("wall", "cpu"))
    say(f"ratio wall {wall:.1f}, processor {cpu:.1f}")
    say(f"inertia above scikit-learn: {100 * (ours[0]['inertia'] / theirs[0]['inertia'] - 1):.2f} %")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--strategies", action="store_true")
    options.add_argument("--million", action="store_true")
    options.add_argument("--growth", action="store_true")
    options.add_argument("--save", action="store_true")
    chosen = options.parse_args()
    mode = next((f" --{m}" for m in ("strategies", "million", "growth") if getattr(chosen, m)), "")
    say(machine())
    if chosen.growth:
        growth()
    elif chosen.million:
        show("cscs N=1,000,000 dim 256 B 1,000", apart(run_ours, 1_000_000, 256, 1_000, "cscs"))
    elif chosen.strategies:
        for name in strategies():
            show(f"{name} N=20,000 dim 768 B 200", apart(run_ours, 20_000, 768, 200, name))
    else:
        against_scikit_learn()
    if chosen.save:
        file = ROOT / "benchmarks" / "results" / f"{datetime.date.today()}-selection.txt"
        before = file.read_text() + "\n" if file.exists() else ""
        file.write_text(before + "\n".join([f"$ python benchmarks/selection_scale.py{mode}", *LINES]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
