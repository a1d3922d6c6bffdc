"""The two ways to fail loudly: wrong usage, and data that cannot serve.

Bad *scans* are never exceptions: they are :class:`firstscan.domain.finding.Finding` values.
"""

from __future__ import annotations


class FirstscanError(Exception):
    """Root of every exception raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code: int = 1


class UsageError(FirstscanError, ValueError):
    """The caller asked for something impossible; the message names what was found and the remedy."""

    exit_code = 2


class DataError(FirstscanError):
    """The data cannot serve the request (no readable scan, B larger than what is usable, …)."""

    exit_code = 3


class ScanError(DataError):
    """One scan cannot be read; stages that see many scans turn it into a finding.

    ``code`` is the finding code (for example ``"unreadable"``), ``remedy`` what the user can do.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[ScanError], tuple[str, str, str]]:
        return type(self), (self.code, str(self), self.remedy)
