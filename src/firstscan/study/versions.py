"""What a study ran on: versions of what computes its numbers, and the kind of machine. No path, no name."""

from __future__ import annotations

import platform
from importlib.metadata import version

from firstscan._version import __version__
from firstscan.segmentation.protocol import Segmenter

_PACKAGES = ("torch", "monai", "numpy", "scipy", "scikit-learn", "SimpleITK")


def versions(trainer: Segmenter | None = None) -> dict[str, str]:
    """Return ``{name: version}``; what the trainer runs on, where that is another environment, as ``trainer: name``."""
    found = {"firstscan": __version__, "python": platform.python_version()}
    found |= {name: version(name) for name in _PACKAGES}
    if trainer is not None:
        found |= {f"{trainer.name}: {name}": number for name, number in trainer.versions().items()}
    return found | {"system": f"{platform.system()} {platform.machine()}"}
