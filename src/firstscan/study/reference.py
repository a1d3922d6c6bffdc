"""Plans that ship with firstscan: the paper's data sets, budgets and presets."""

from __future__ import annotations

from importlib.resources import files
from itertools import takewhile
from pathlib import Path

from firstscan.domain.errors import UsageError

FOLDER = Path(str(files("firstscan.study") / "plans"))


def reference_plans() -> tuple[str, ...]:
    """Return the names of the plans, sorted."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.yaml")))


def describe_plans() -> dict[str, str]:
    """Return ``{name: what data it needs and where}``: the comment that each plan begins with."""
    found = {}
    for name in reference_plans():
        lines = shipped(name).read_text(encoding="utf-8").splitlines()
        found[name] = " ".join(line.lstrip("# ") for line in takewhile(lambda x: x.startswith("#"), lines))
    return found


def shipped(name: str) -> Path:
    """Return the file of a plan that ships with firstscan.  Raises UsageError listing the names where it does not."""
    if name not in reference_plans():
        raise UsageError(f"firstscan has no plan {name!r}; there are: {', '.join(reference_plans())}")
    return FOLDER / f"{name}.yaml"


def plan_path(told: str) -> Path:
    """Return the file of a plan: a path, or the name of a plan that ships with firstscan.

    Raises
    ------
    UsageError : neither; the message lists the names.
    """
    path = Path(told)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return path
    if told in reference_plans():
        return shipped(told)
    raise UsageError(f"there is no plan {told!r}; give a YAML file or one of: {', '.join(reference_plans())}")
