"""What a person sees while a command runs and when it ends; the only place that prints."""

from __future__ import annotations

import os
import shlex
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstscan.domain.finding import Finding
    from firstscan.domain.selection import Selection
    from firstscan.domain.verdict import Verdict
    from firstscan.steps.collecting.collect import Collected

BROKEN_PIPE = 141
_QUIET_S = 10.0
_PICKS_SHOWN = 50
_NAMES_SHOWN = 3


class Live:
    """Bars with the time left, for a terminal; the bar of a stage that has ended stays where it is."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bar: Any = None
        self._task: Any = None

    def start(self, stage: str, total: int) -> None:
        """Show a new bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        self._bar.start()
        self._task = self._bar.add_task(stage, total=total, note="")

    def advance(self, units: int = 1, note: str = "") -> None:
        """Move the bar."""
        self._bar.update(self._task, advance=units, note=note)

    def finish(self, note: str = "") -> None:
        """Leave the bar as it stands."""
        self._bar.update(self._task, note=note, refresh=True)
        self._bar.stop()

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(message, markup=False, highlight=False)


class Plain:
    """A line now and then, for logs and pipes."""

    def __init__(self) -> None:
        self._stage, self._total, self._done, self._began, self._said = "", 0, 0, 0.0, 0.0
        self._first = 0

    def start(self, stage: str, total: int) -> None:
        """Begin counting a stage."""
        self._stage, self._total, self._done, self._first = stage, total, 0, -1
        self._began = self._said = time.monotonic()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Print how far it is and how long it will take, ever less often as time goes by."""
        self._first = units if self._first < 0 else self._first
        self._done += units
        now = time.monotonic()
        if now - self._said < max(_QUIET_S, 0.3 * (now - self._began)) or self._done >= self._total:
            return
        self._said = now
        here = self._done - self._first
        left = (now - self._began) / here * (self._total - self._done) if here > 0 else None
        wait = f", about {duration(left)} left" if left is not None else ""
        self.say(f"{self._stage}: {self._done}/{self._total}{wait}{f' ({note})' if note else ''}")

    def finish(self, note: str = "") -> None:
        """Print the stage's end."""
        took = duration(time.monotonic() - self._began)
        self.say(f"{self._stage}: {self._done}/{self._total} in {took}{f' ({note})' if note else ''}")

    def say(self, message: str) -> None:
        """Print a line."""
        print(message, file=sys.stderr, flush=True)


def progress() -> Live | Plain:
    """Return bars for a terminal, lines for anything else."""
    return Live() if sys.stderr.isatty() else Plain()


def duration(seconds: float) -> str:
    """Return ``8 s``, ``3 min`` or ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def say(message: str) -> None:
    """Print a line of the result as it is, so that a path in it can be copied."""
    _console().print(message, markup=False, highlight=False, soft_wrap=True)


def tell(paragraph: str) -> None:
    """Print prose: on a terminal its lines end between words."""
    _console().print(paragraph, markup=False, highlight=False, soft_wrap=not sys.stdout.isatty())


def complain(message: str) -> None:
    """Print an error as one readable block."""
    print(f"firstscan: {message}", file=sys.stderr)


def explain(error: Exception, *, debug: bool) -> int:
    """Print what went wrong and what to do about it; return the exit code."""
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone, as with `| head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # for the interpreter's last flush
        return BROKEN_PIPE
    if debug:
        traceback.print_exception(error)
    if hasattr(error, "format_message"):  # wrong usage, found by typer
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
        else:
            where = context.command_path if context is not None else "firstscan"
            complain(f"{error.format_message()}\nSee: {where} --help")
        return 2
    from firstscan.domain.errors import FirstscanError
    from firstscan.store.atomic import disk_full_message

    if isinstance(error, FirstscanError):
        complain(str(error))
        return error.exit_code
    full = disk_full_message(error)
    if full is not None:
        complain(full)
        return 3
    complain(
        f"something went wrong that firstscan did not expect ({type(error).__name__}: {error}).\n"
        "Run the same command again with --debug for the details, and please report them."
    )
    return 1


def show_findings(
    findings: Iterable[Finding], found: int, usable: int, listed_in: Path | None, *, read: bool = True
) -> None:
    """Print how many scans are usable (or, where none was ``read`` yet, found) and what was found, by kind."""
    from firstscan.domain.finding import count_by_code

    gone = found - usable
    say(f"{found} scan(s) found" + f", {usable} usable" * read + (f", {gone} left out" if gone else "") + ".")
    findings = tuple(findings)
    counts = count_by_code(findings)
    if not counts:
        return
    words = {"drop": "left out", "warn": "warning", "note": "note"}
    for (severity, code), n in counts.items():
        which = [f for f in findings if (f.severity, f.code) == (severity, code)]
        say(f"  {words[severity]:<9} {n:>5} × {code}{_examples(which)}")
    if listed_in is not None:
        say(f"  Each with its remedy: {listed_in}")


def _examples(findings: Sequence[Finding]) -> str:
    """Return which scans are meant or, where it is about no scan, what the first finding says."""
    names = list(dict.fromkeys(f.case_id for f in findings if f.case_id))
    if not names:
        return f": {findings[0].message}" if len(findings) == 1 else f", the first: {findings[0].message}"
    return f": {', '.join(names[:_NAMES_SHOWN])}{', …' if len(names) > _NAMES_SHOWN else ''}"


def next_step(command: str, *, when: str = "Next") -> None:
    """Print the command that comes next, so that it can be copied."""
    say(f"{when}: {command}")


def typed(path: Path) -> str:
    """Return a path as it is typed in a shell."""
    return shlex.quote(str(path))


def show_collection(done: Collected) -> None:
    """Print which labels came back, what is wrong with the others, how far readers agree, and what comes next."""
    from firstscan.domain.finding import count_by_code
    from firstscan.steps.collecting.agreement import mean_dice
    from firstscan.steps.collecting.corrections import summed

    got = {taken.case_id for taken in done.labels}
    open_ = [case_id for case_id in done.asked if case_id not in got]
    names = f": {', '.join(open_[:_NAMES_SHOWN])}{', …' * (len(open_) > _NAMES_SHOWN)}" if open_ else ""
    say(f"{len(got)} of {len(done.asked)} scans are labelled" + (f", {len(open_)} not yet{names}." if open_ else "."))
    words = {"drop": "not taken", "warn": "warning", "note": "note"}
    for (severity, code), n in count_by_code(done.findings).items():
        which = [f for f in done.findings if (f.severity, f.code) == (severity, code)]
        say(f"  {words[severity]:<9} {n:>5} × {code}{_examples(which)}")
    if done.findings:
        say(f"  Each with its remedy: {done.out / 'findings.csv'}")
    for name, value in sorted(done.classes.items(), key=lambda pair: pair[1]):
        holding = sum(value in taken.values for taken in done.labels)
        say(
            f"  class {name} = {value}: in {holding} scan(s)"
            if name != f"class {value}"
            else f"  {name}: in {holding} scan(s)"
        )
    _show_agreement(done, mean_dice(done.agreement))
    if done.corrections:
        say(f"{summed(done.corrections)} ({done.out / 'corrections.csv'})")
    say(f"Labels: {done.out / 'labelled.csv'}")
    if done.dataset is not None:
        next_step(f"firstscan train {typed(done.out)} --out model")
    elif done.labels:
        tell(f"No data set to train on was made: {done.no_dataset}")


def _show_agreement(done: Collected, dice: dict[str, tuple[float, int]]) -> None:
    if not done.agreement:
        return
    scans = {row.score.case_id for row in done.agreement}
    readers = {reader for row in done.agreement for reader in (row.reader_a, row.reader_b)}
    said = ", ".join(f"{name} {value:.2f}" for name, (value, _) in dice.items()) or "nothing was marked"
    say(
        f"Agreement of {len(readers)} readers on {len(scans)} scan(s), mean Dice: {said} ({done.out / 'agreement.csv'})"
    )
    taken = {taken.reader for taken in done.labels if taken.case_id in scans}
    whose = (
        f"the label map of {', '.join(sorted(taken))}"
        if not any(";" in r for r in taken)
        else "the majority of each voxel"
    )
    say(f"  For training, {whose} stands for these scans.")


def show_selection(selection: Selection, pool_size: int, reading: Iterable[str], verdict: Verdict) -> None:
    """Print the picks with their reasons, what the pool's numbers mean, and the verdict with its reasons."""
    from rich.table import Table

    console = _console()
    table = Table(
        title=f"Annotate first: {len(selection)} of {pool_size} scans ({selection.strategy})",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    for name, justify in (("#", "right"), ("scan", "left"), ("stratum", "right"), ("T", "right"), ("U", "right")):
        table.add_column(name, justify=justify, no_wrap=name != "scan", overflow="fold")  # type: ignore[arg-type]
    plan = selection.slices
    if plan is not None:
        table.add_column("slices", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    from rich.text import Text

    for pick in selection.picks[:_PICKS_SHOWN]:
        stratum = "" if pick.stratum is None else str(pick.stratum)
        table.add_row(
            str(pick.rank),
            Text(pick.case_id),
            stratum,
            _digits(pick.typicality),
            _digits(pick.uncertainty),
            *([] if plan is None else [str(len(plan.of(pick.case_id) or ()))]),
            Text(pick.reason),
        )
    console.print(table)
    if len(selection) > _PICKS_SHOWN:
        say(f"… and {len(selection) - _PICKS_SHOWN} more in selection.csv")
    for paragraph in reading:
        say("")
        tell(paragraph)
    show_verdict(verdict)


def show_verdict(verdict: Verdict) -> None:
    """Print what is said of a batch in the end, the weightiest reason first."""
    from firstscan.domain.verdict import MARKS, QUESTION

    say("")
    tell(f"{QUESTION} {verdict.sentence}")
    for reason in verdict.reasons:
        tell(f"  {MARKS[reason.says]} {reason.text}{f' See {reason.link}.' if reason.link else ''}")


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140)
