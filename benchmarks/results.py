"""Run a committed study and keep what it found: the results that docs/results.md tells of.

python benchmarks/results.py hippocampus    150 scans to select from, 50 to test on; every strategy
python benchmarks/results.py fetal_brain    11 and 4 atlases, eight tissues
python benchmarks/results.py demo           the invented cohort that comes with firstscan

The plans are in benchmarks/plans, real scans where FIRSTSCAN_TEST_DATA points (else ../shared/data). A study that
was cut short goes on where it was. Kept in benchmarks/results/NAME: scores, cells with their picks, costs, the summary,
tables, figures, and the manifest, in which the folder of the scans is written as DATA.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from _measure import machine
from firstscan.steps.main_job.demo import make_cohort
from firstscan.steps.running.run import Run, Settings
from firstscan.store import open_workspace

HERE = Path(__file__).resolve().parent
PLANS = {p.stem: p for p in sorted((HERE / "plans").glob("*.yaml"))}
BINARY = (".parquet",)


def data_folder(name: str, out: Path) -> Path:
    """Return the folder from which the plan's paths start; the demo's scans are made there."""
    if name == "demo":
        data = out.parent / "demo-data"
        with open_workspace(data) as workspace:
            make_cohort(data / "cohort", Run(workspace, Settings()))
        return data
    return Path(os.environ.get("FIRSTSCAN_TEST_DATA", HERE.parents[1] / "shared" / "data")).resolve()


def keep(out: Path, data: Path, kept: Path) -> None:
    """Copy a study's results, without the folder of this machine that its scans are in."""
    kept.mkdir(parents=True, exist_ok=True)
    for file in sorted(p for p in out.iterdir() if p.is_file() and p.suffix != ".html"):
        if file.suffix in BINARY:
            shutil.copyfile(file, kept / file.name)
        else:
            text = file.read_text(encoding="utf-8").replace(str(data), "DATA")
            (kept / file.name).write_text(text, encoding="utf-8")
    with (kept / "machine.txt").open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        print(machine().rsplit(", load", 1)[0])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("name", nargs="?", choices=PLANS)
    options.add_argument("--out", type=Path, default=Path("out"), help="where studies lie; one folder for each")
    options.add_argument("--workers", type=int, default=os.cpu_count())
    given = options.parse_args()
    if given.name is None:
        print(f"These take an hour and more, so none runs by itself; name one: {', '.join(PLANS)}")
        return 0
    out = (given.out / given.name).resolve()
    data = data_folder(given.name, out)
    program = str(Path(sys.executable).with_name("firstscan"))
    command = [program, "study", str(PLANS[given.name]), "--out", str(out), "--workers", str(given.workers)]
    code = subprocess.run(command, cwd=data, check=False).returncode
    if code == 0:
        keep(out, data, HERE / "results" / given.name)
    return code


if __name__ == "__main__":
    sys.exit(main())
