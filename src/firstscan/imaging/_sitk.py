"""SimpleITK, imported on first use and with its C++ warnings silenced."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def sitk() -> Any:
    """Return the SimpleITK module; findings, not lines on stderr, tell the user about odd files."""
    module: Any = importlib.import_module("SimpleITK")
    module.ProcessObject.SetGlobalWarningDisplay(False)
    return module
