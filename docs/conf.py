"""The site: ``make docs``. Sphinx and MyST, because they are kept up, work offline, and read docstrings and notebooks.

Pages of the reference are made of the code (``generate.py``) before Sphinx reads them.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

generate.write(Path(__file__).parent / "generated")

project = "firstscan"
author = "The firstscan developers"
copyright = author  # noqa: A001
release = importlib.metadata.version("firstscan")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_site", "jupyter_execute"]
nb_execution_mode = "off"
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"firstscan {release}"
autodoc_typehints = "description"
