"""Fixtures shared by every test, and run-time checks of every array shape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("firstscan", "beartype.beartype").__enter__()

ROOT = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set {variable} to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real scans; see CONTRIBUTING.md."""
    return _folder("FIRSTSCAN_TEST_DATA", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Inputs modelled on public bug reports, each with a README line that says what is right."""
    return _folder("FIRSTSCAN_TEST_CASES", ROOT.parent / "shared" / "cases")


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Inputs and outputs of the published implementations."""
    return _folder("FIRSTSCAN_TEST_PARITY", ROOT.parent / "shared" / "parity")
