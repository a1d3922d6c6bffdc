"""The command line says what the step configs say, and answers --help at once."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import firstscan
from firstscan.cli import app, run
from firstscan.steps.annotating.tool_folder import HandoffConfig
from firstscan.steps.collecting.collect import CollectConfig
from firstscan.steps.running.config import (
    CheckCommand,
    Config,
    ExtractCommand,
    IndexCommand,
    PickConfig,
    PretrainCommand,
    SelectCommand,
)

EXECUTION = {"out", "workers", "engine", "device", "devices", "nodes", "overwrite", "measured", "show_metadata"}
EMPTY = (None, (), {})
AFTER: dict[str, tuple[type[Config], dict[str, str]]] = {
    "handoff": (HandoffConfig, {"to": "target"}),
    "collect": (CollectConfig, {}),
}
"""Commands after the batch: their config, and options that bear another name there."""
ARGUMENTS = {"results", "handoffs"}
CALLED = {c.name or c.callback.__name__: c.callback for c in app.registered_commands if c.callback is not None}
"""The function behind each command."""
COMMANDS: dict[str, type[Config]] = {
    "select": SelectCommand,
    "index": IndexCommand,
    "check": CheckCommand,
    "pretrain": PretrainCommand,
    "extract": ExtractCommand,
    "pick": PickConfig,
}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_and_defaults_are_those_of_the_config(name):
    options = {n: p for n, p in inspect.signature(CALLED[name]).parameters.items() if n not in EXECUTION}
    fields = COMMANDS[name].model_fields
    assert set(options) == set(fields)
    for option, parameter in options.items():
        field = fields[option]
        if field.is_required():
            assert parameter.default is inspect.Parameter.empty, option
            continue
        expected = field.get_default(call_default_factory=True)
        assert parameter.default == expected or (parameter.default in EMPTY and expected in EMPTY), option


@pytest.mark.parametrize("name", AFTER)
def test_options_after_the_batch_are_those_of_their_config(name):
    config, other_names = AFTER[name]
    given = inspect.signature(CALLED[name]).parameters
    options = {other_names.get(n, n): p for n, p in given.items() if n not in EXECUTION | ARGUMENTS}
    assert set(options) == set(config.model_fields)
    for option, parameter in options.items():
        field = config.model_fields[option]
        if field.is_required():
            assert parameter.default is inspect.Parameter.empty, option
            continue
        expected = field.get_default(call_default_factory=True)
        assert parameter.default == expected or (parameter.default in EMPTY and expected in EMPTY), option


def test_classes_are_read_as_they_are_typed():
    from firstscan.steps.running.typed import read_classes

    assert read_classes(["core=1, grey matter = 2", "rim=3"]) == {"core": 1, "grey matter": 2, "rim": 3}
    for wrong in ("core", "core=x", "=1", "core=-1", "core=1,core=2"):
        with pytest.raises(firstscan.UsageError, match="--classes"):
            read_classes([wrong])


def test_every_option_has_a_help_text():
    for command in CALLED.values():
        for option in inspect.signature(command).parameters:
            annotation = inspect.get_annotations(command, eval_str=True)[option]
            assert annotation.__metadata__[0].help, (command, option)


@pytest.mark.parametrize("arguments", [["--help"], ["select", "--help"], []])
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
from firstscan.cli import run
code = run({arguments!r})
heavy = {{"torch", "numpy", "pandas", "scipy", "SimpleITK", "pyarrow", "sklearn", "rich.console"}}
print("HEAVY", sorted(heavy & set(sys.modules)), code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"HEAVY [] {0 if arguments else 2}"
    assert "Usage: firstscan" in done.stdout


def test_importing_the_package_is_cheap_and_its_names_work():
    code = """
import sys, firstscan
assert not {"numpy", "torch", "pydantic"} & set(sys.modules)
for name in firstscan.__all__:
    assert getattr(firstscan, name) is not None, name
assert "torch" not in sys.modules
assert issubclass(firstscan.UsageError, ValueError)
assert "cscs" in firstscan.strategies()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        firstscan.nothing  # noqa: B018
    assert set(dir(firstscan)) == set(firstscan.__all__)


def test_the_version_is_that_of_the_package():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert f'version = "{firstscan.__version__}"' in text


def test_strategies_are_listed_with_one_line_each(capsys):
    assert run(["strategies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= {"cscs", "random"}
    assert all(len(line.split()) > 3 for line in lines)
