"""Write requirements.lock: one exact version for every package that firstscan needs, as installed here.

Run with the interpreter of a working environment: ``make lock``. The lock covers the run-time dependencies and the
extras dev, review and ray, with all that they need in turn. The extra nnunet has an environment of its own (its
dependency torchvision binds it to other builds of torch). ``--check`` writes nothing and fails on a difference;
``--run-time`` prints what is needed to run.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
EXTRAS = ("dev", "ray", "review")
HEADER = """\
# Exact versions of everything firstscan runs, is tested and is checked with. Made by `make lock`; do not edit.
# Covers the run-time dependencies and the extras {extras}. Resolved on Python {python} for {platform}.
"""


def wanted(pyproject: Path, *, run_time: bool = False) -> list[str]:
    """Return the requirements that pyproject.toml states for building, for run time and for the locked extras.

    ``run_time``: those of run time and of the review page alone.
    """
    stated = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    extras = stated["project"]["optional-dependencies"]
    if run_time:
        return [*stated["project"]["dependencies"], *extras["review"]]
    return [
        *stated["build-system"]["requires"],
        *stated["project"]["dependencies"],
        *(line for extra in EXTRAS for line in extras[extra]),
    ]


def closure(requirements: Iterable[str]) -> dict[str, str]:
    """Return ``{canonical name: version}`` of all installed packages that ``requirements`` lead to.

    Raises
    ------
    SystemExit : a package is not installed, or is installed in a version that its dependant refuses.
    """
    versions: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        versions[name] = _installed(requirement)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        lines = distribution(name).requires or []
        waiting += [(Requirement(line), e) for line in lines for e in ("", *requirement.extras)]
    return dict(sorted(versions.items()))


def _installed(requirement: Requirement) -> str:
    try:
        version = Version(distribution(requirement.name).version)
    except PackageNotFoundError:
        raise SystemExit(f"{requirement.name} is not installed here; run `make venv` first") from None
    if not requirement.specifier.contains(version, prereleases=True):
        raise SystemExit(f"{requirement.name} {version} is installed, but {requirement} is required")
    # The part after "+" names a build (CPU, CUDA) that only some package indexes offer.
    return version.public


def render(versions: dict[str, str]) -> str:
    """Return the text of the lock file."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    header = HEADER.format(extras=", ".join(EXTRAS), python=python, platform=sys.platform)
    return header + "".join(f"{name}=={version}\n" for name, version in versions.items())


def main() -> int:
    """Write or check the lock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail if the lock differs from this environment")
    parser.add_argument("--run-time", action="store_true", help="print what firstscan needs to run, and write nothing")
    given = parser.parse_args()
    check = given.check
    if given.run_time:
        needed = closure(wanted(ROOT / "pyproject.toml", run_time=True))
        sys.stdout.write(" ".join(f"{name}=={version}" for name, version in needed.items()) + "\n")
        return 0
    text = render(closure(wanted(ROOT / "pyproject.toml")))
    if not check:
        LOCK.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{LOCK.name}: {text.count('==')} packages\n")
        return 0
    same = LOCK.is_file() and LOCK.read_text(encoding="utf-8") == text
    sys.stdout.write(f"{LOCK.name} {'matches' if same else 'differs from'} this environment\n")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
