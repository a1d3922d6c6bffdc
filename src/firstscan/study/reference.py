"""Plans that ship with firstscan: the paper's data sets, budgets and presets."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from firstscan.domain.errors import UsageError

FOLDER = Path(str(files("firstscan.study") / "plans"))


def reference_plans() -> tuple[str, ...]:
    """Return the names of the plans, sorted."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.yaml")))


def plan_path(told: str) -> Path:
    """Return the file of a plan: a path, or the name of a plan that ships with firstscan.

    Raises
    ------
    UsageError : neither; the message lists the names.
    """
    path = Path(told)
    if path.suffix in {".yaml", ".yml"} or path.exists():
        return path
    if told in reference_plans():
        return FOLDER / f"{told}.yaml"
    raise UsageError(f"there is no plan {told!r}; give a YAML file or one of: {', '.join(reference_plans())}")
