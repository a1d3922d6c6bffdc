"""What a long piece of work says of itself; the shell decides how to show it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives one ``start``, any number of ``advance`` and one ``finish`` a stage, in order."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of ``total`` units, named in plain words."""

    def advance(self, units: int = 1, note: str = "") -> None:
        """Report ``units`` more done; ``note`` is a short remark such as a loss."""

    def finish(self, note: str = "") -> None:
        """End the stage, early or not."""

    def say(self, message: str) -> None:
        """Show one line that a person should read."""


class Silent:
    """A progress that shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Show nothing."""

    def advance(self, units: int = 1, note: str = "") -> None:
        """Show nothing."""

    def finish(self, note: str = "") -> None:
        """Show nothing."""

    def say(self, message: str) -> None:
        """Show nothing."""
