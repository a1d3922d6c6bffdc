"""The command line: one thin command a step. Nothing heavy is imported before a command runs."""

from .main import app, run

__all__ = ["app", "run"]
