"""The project's own files agree with each other."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import firstscan

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKED_EXTRAS = ("dev", "ray", "review")
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
CODE = ROOT / "src" / "firstscan"
MODULES = tuple(sorted(CODE.rglob("*.py")))
ROOMS = tuple(sorted({module.parent for module in MODULES}))
LONGEST_MODULE, LONGEST_FUNCTION, LARGEST_ROOM = 300, 60, 15
STILL_LONGER = {
    "imaging/reading.py",
    "report/methods/paragraph.py",
    "review/session.py",
    "audit/header.py: check_header",
    "audit/series.py: check_series",
    "selection/queries/rounds.py: next_round",
    "selection/trust/stability.py: stability",
    "study/publishing/page.py: render",
}
"""What is over the limits and about to be shortened; nothing may be added."""
PAGES = tuple(sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md")))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def locked():
    lines = [line for line in text("requirements.lock").splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def blocks(name, language):
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", text(name), flags=re.DOTALL))


def make_targets():
    return set(re.findall(r"^([a-z]+):", text("Makefile"), flags=re.MULTILINE))


def test_one_version_everywhere():
    assert firstscan.__version__ == PROJECT["version"] == version("firstscan")
    assert yaml.safe_load(text("CITATION.cff"))["version"] == PROJECT["version"]
    assert f"## [{PROJECT['version']}]" in text("CHANGELOG.md")


def test_the_lock_covers_every_stated_requirement():
    pins = locked()
    stated = [*PROJECT["dependencies"], *PYPROJECT["build-system"]["requires"]]
    for line in (*stated, *(line for extra in LOCKED_EXTRAS for line in EXTRAS[extra])):
        requirement = Requirement(line)
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{line} is not in requirements.lock; run make lock"
        assert requirement.specifier.contains(pin), f"requirements.lock holds {pin}, pyproject.toml wants {line}"


def test_the_lock_names_versions_only():
    pins = locked()
    assert pins["torch"] == "2.13.0"
    assert list(pins) == sorted(pins)
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", pin) for pin in pins.values())
    assert not {"firstscan", "nnunetv2", "torchvision"} & set(pins)


def test_the_lock_script_reproduces_the_lock():
    if not (ROOT / ".venv" / ".installed").is_file() or Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("these tests do not run in the environment that make venv built")
    done = subprocess.run(
        [sys.executable, "scripts/lock.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_name_make_targets_that_exist(name):
    named = set(re.findall(r"^make ([a-z]+)", blocks(name, "console"), flags=re.MULTILINE))
    assert named
    assert named <= make_targets()


@pytest.mark.parametrize("name", [*DOCUMENTS, *PAGES])
def test_documents_name_commands_that_exist(name):
    if importlib.util.find_spec("firstscan.cli") is None:
        pytest.skip("there is no command line yet")
    from typer.main import get_command

    from firstscan.cli import app

    commands = get_command(app).commands
    shown = blocks(name, "console") + "\n".join(re.findall(r"`(firstscan [^`]+)`", text(name)))
    named = set(re.findall(r"^firstscan ([a-z]+)", shown, flags=re.MULTILINE))
    assert named <= set(commands)
    for command, rest in re.findall(r"^firstscan ([a-z]+) (.*)$", shown, flags=re.MULTILINE):
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known | {"--help"}


def test_the_readme_s_python_names_exist():
    names = set(re.findall(r"fs\.([A-Za-z_]+)", text("README.md") + text("docs/tour.md")))
    assert {"index", "extract", "select"} <= names
    assert names <= set(firstscan.__all__)


@pytest.mark.parametrize("name", [*DOCUMENTS, *PAGES, "CHANGELOG.md", "SECURITY.md"])
def test_links_between_documents_lead_somewhere(name):
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)", text(name))
    for link in links:
        assert link.startswith("https://") or (ROOT / name).parent.joinpath(link).is_file(), link


def test_the_licence_is_the_apache_licence_in_full():
    licence = text("LICENSE")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert len(licence.splitlines()) > 190


def test_the_gate_runs_the_linters_and_the_tests():
    script = text(".ci/run")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert script.startswith("#!/usr/bin/env bash\n")
    assert re.search(r"^make lint$", script, flags=re.MULTILINE)
    assert script.rstrip().endswith("make test")
    lint = subprocess.run(["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert tool in lint


def test_make_alone_lists_every_target():
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^make ([a-z]+)", shown, flags=re.MULTILINE))
    assert listed == make_targets()
    assert {"help", "venv", "demo", "test", "lint", "types", "format", "bench", "lock", "clean"} <= listed


def name_of(path):
    return path.relative_to(CODE).as_posix()


def lengths(module):
    """How many lines each function of a module has, its decorators left out."""
    parts = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    functions = [part for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{name_of(module)}: {f.name}": f.end_lineno - f.lineno + 1 for f in functions}


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_modules_functions_and_rooms_keep_to_their_limits(room):
    modules = sorted(room.glob("*.py"))
    assert len([module for module in modules if module.name != "__init__.py"]) <= LARGEST_ROOM
    long = {name_of(m) for m in modules if len(m.read_text(encoding="utf-8").splitlines()) > LONGEST_MODULE}
    for module in modules:
        long |= {name for name, lines in lengths(module).items() if lines > LONGEST_FUNCTION}
    assert long <= STILL_LONGER


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_every_module_says_in_a_line_what_it_is_for(room):
    for module in room.glob("*.py"):
        said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
        assert said.splitlines(), name_of(module)
        assert said.splitlines()[0][-1] in ".:;?", name_of(module)
