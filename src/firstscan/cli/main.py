"""The command line: one thin command a step. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from . import about, annotating, measuring, rounds, selecting, steering, studies, training

INTERRUPTED = 130

app = typer.Typer(
    help="Choose which 3D scans to annotate first: no label, no task model needed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def every_command(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error; allowed anywhere.")
    ] = False,
) -> None:
    """Take options that belong to every command; ``--debug`` is read in :func:`main`."""
    del debug


for group in (selecting, measuring, steering, rounds, annotating, training, studies, about):
    group.register(app)


def main() -> None:
    """Run the command line and exit: 0 done, 2 wrong usage, 3 the data cannot serve, 130 interrupted."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors are printed to stderr, as one block each."""
    debug = "--debug" in arguments
    try:
        result = app(args=[a for a in arguments if a != "--debug"], prog_name="firstscan", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except Exception as error:
        from . import terminal

        return terminal.explain(error, debug=debug)
    if result == INTERRUPTED:
        from . import terminal

        terminal.complain("interrupted; run the same command again to go on from here.")
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
