from __future__ import annotations

import pytest

from firstscan.cli import terminal
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Pick, Selection
from firstscan.domain.verdict import Reason, Verdict


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.0, "59 s"), (61.0, "1 min"), (7490.0, "2 h 05 min")])
def test_durations(seconds, text):
    assert terminal.duration(seconds) == text


def test_plain_progress_prints_now_and_then_with_the_time_left(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    plain = terminal.Plain()
    plain.start("Reading", 101)
    plain.advance(1)
    for _ in range(99):
        now[0] += 1
        plain.advance(1, "ok")
    plain.finish()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Reading: 11/101, about 2 min left (ok)"
    assert 3 <= len(lines) <= 10
    assert lines[-1] == "Reading: 100/101 in 2 min"


def test_bars_on_a_terminal_show_stage_count_and_note(capsys):
    live = terminal.Live()
    live.start("Reading", 3)
    live.advance(2, "loss 1.5")
    live.say("a line")
    live.advance()
    live.finish()
    text = capsys.readouterr().err
    assert "Reading" in text
    assert "a line" in text
    assert "3/3" in text


def test_a_finished_bar_is_shown_once(capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich draws as for a terminal
    live = terminal.Live()
    for stage in ("Reading", "Preparing", "Measuring"):
        live.start(stage, 1)
        live.advance()
        live.finish()
    after = capsys.readouterr().err.split("Measuring")[0].split("Preparing")[-1]
    assert "Reading" not in after


def test_prose_is_broken_between_words_and_paths_never(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True, raising=False)
    terminal.tell("difficulty and typicality and uncertainty of every scan")
    terminal.say("Report: " + "a/long/path" * 5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].rstrip() == "difficulty and typicality and"
    assert lines[-1] == "Report: " + "a/long/path" * 5


VERDICT = Verdict("supported", "Supported: it is.", (Reason("dcr", "open", 0.1, "DCR [red]is[/red] 0.1.", "docs"),))


def test_picks_and_findings_survive_odd_names(capsys):
    picks = (
        Pick("[bold]x[/bold]", 1, 0, 0.5, 1.0, 2.0, "why [red]not[/red]"),
        Pick("b", 2, None, None, None, None, "r"),
    )
    terminal.show_selection(Selection(picks, "cscs", 1, 2), 9, ["first", "second"], VERDICT)
    terminal.show_findings([Finding("duplicate", "drop", "a", "m", "r")] * 2, 5, 3, None)
    text = capsys.readouterr().out
    assert "[bold]x[/bold]" in text
    assert "why [red]not[/red]" in text
    assert "same size? Supported: it is.\n  ? DCR [red]is[/red] 0.1. See docs.\n" in text
    assert "Annotate first: 2 of 9 scans (cscs)" in text
    assert "5 scan(s) found, 3 usable, 2 left out." in text
    assert "2 × duplicate" in text
