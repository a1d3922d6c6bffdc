"""Pages of the reference that are made of the code: commands, strategies with a picture each, the Python API."""

from __future__ import annotations

import textwrap
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure
from typer.main import get_command

import firstscan as fs
from firstscan.cli import app
from firstscan.selection.registry import strategy_class

EXIT = "Exit codes of all commands: 0 done; 2 wrong usage; 3 the data cannot serve; 130 interrupted."
WIDTH = 84
"""Characters of a line that fits the page."""
COLOURS = {"pool": "#b8c0cc", "picks": "#c2410c"}


def write(folder: Path) -> None:
    """Write every page into ``folder``."""
    folder.mkdir(exist_ok=True)
    (folder / "commands.md").write_text(commands(), encoding="utf-8")
    (folder / "python.md").write_text(python(), encoding="utf-8")
    (folder / "strategies.md").write_text(strategies(folder), encoding="utf-8")


def commands() -> str:
    """Return the page of all commands with their options, as ``--help`` tells them."""
    parts = ["# Commands", EXIT]
    for name, command in sorted(get_command(app).commands.items()):
        context = click.Context(command, info_name=f"firstscan {name}")
        parts += [f"## firstscan {name}", (command.help or "").strip(), "```text", command.get_usage(context), "```"]
        options = [p for p in command.params if isinstance(p, click.Option) and p.help]
        rows = [f"| `{', '.join(p.opts + p.secondary_opts)}` | {_cell(p.help)} | {_default(p)} |" for p in options]
        if rows:
            parts.append("\n".join(["| option | | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


def _default(option: click.Option) -> str:
    return "" if option.default in (None, False, ()) or callable(option.default) else f"`{option.default}`"


def python() -> str:
    """Return the page of the public names, from their docstrings."""
    parts = ["# Python", "```{eval-rst}"]
    for name in sorted(fs.__all__):
        thing = getattr(fs, name)
        kind = "autoclass" if isinstance(thing, type) else "autofunction" if callable(thing) else "autodata"
        parts.append(f".. {kind}:: firstscan.{name}")
        if kind == "autoclass":
            parts.append("   :members:\n   :exclude-members: __init__")
        parts.append("")
    return "\n".join([*parts, "```", ""])


def strategies(folder: Path) -> str:
    """Return the page of all strategies; each draws the same twelve picks of the same toy pool."""
    table, flat = toy_pool()
    parts = ["# Strategies", "Each picture shows 12 picks of the same invented pool of 300 scans, in two dimensions."]
    for name in fs.strategies():
        kind = strategy_class(name)
        parts += [f"## {name}", kind.summary.capitalize() + "."]
        try:
            picks = fs.select(table, 12, strategy=name, seed=0).case_ids
        except fs.UsageError as error:
            parts.append(f"No picture: {error}")
        else:
            _draw(flat, [table.case_ids.index(i) for i in picks], folder / f"{name}.svg", name)
            parts.append(f"![Picks of {name} on the toy pool]({name}.svg)")
        known = fields(kind)
        if known:
            rows = [f"| `{f.name}` | `{f.default}` |" for f in known]
            parts.append("\n".join(["| option | default |", "|---|---|", *rows]))
        text = (kind.__doc__ or "").strip()
        parts += ["```text", _dedented(text), "```"]
        if kind.reference:
            parts.append(f"Reference: {kind.reference}.")
    return "\n\n".join(parts) + "\n"


def _dedented(text: str) -> str:
    lines = [line.removeprefix("    ") for line in text.splitlines()]
    return "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent=" " * (len(line) - len(line.lstrip())))
        if len(line) > WIDTH
        else line
        for line in lines
    )


def toy_pool() -> tuple[fs.FeatureTable, np.ndarray]:
    """Return 300 scans: three dense groups, one thin one, and a few outliers; uncertainty grows outwards."""
    rng = np.random.default_rng(7)
    places = [((0, 0), 0.6, 120), ((4, 1), 0.8, 90), ((1, 4), 0.5, 60), ((5, 5), 0.3, 20), ((2.5, 2), 3.0, 10)]
    flat = np.concatenate([rng.normal(centre, spread, (n, 2)) for centre, spread, n in places])
    hard = np.linalg.norm(flat - flat.mean(axis=0), axis=1) + rng.normal(0, 0.5, len(flat))
    ids = tuple(f"scan{i:03d}" for i in range(len(flat)))
    size = {"foreground_ml": np.linspace(100, 900, len(flat))}
    return fs.FeatureTable(ids, flat, hard - hard.min(), covariates=size), flat


def _draw(flat: np.ndarray, picks: list[int], path: Path, name: str) -> None:
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(*flat.T, s=9, color=COLOURS["pool"], label="pool")
    axes.scatter(*flat[picks].T, s=42, color=COLOURS["picks"], edgecolor="white", label="picks")
    axes.set(xticks=[], yticks=[], title=name)
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    figure.savefig(path, metadata={"Date": None})
