"""Commands of the rounds after the first batch."""

from __future__ import annotations

import inspect
import subprocess
import sys

from firstscan import cli
from firstscan.cli import rounds
from firstscan.selection.queries.registry import BUILT_IN, DEFAULT_RULE
from firstscan.steps.training.next_config import NextConfig

EMPTY = (None, (), {})


def test_options_of_next_are_those_of_its_config():
    given = {
        n: p for n, p in inspect.signature(rounds.next_).parameters.items() if n not in {"results", "workers", "device"}
    }
    assert set(given) == set(NextConfig.model_fields)
    for name, parameter in given.items():
        field = NextConfig.model_fields[name]
        if field.is_required():
            assert parameter.default is inspect.Parameter.empty, name
            continue
        expected = field.get_default(call_default_factory=True)
        assert parameter.default == expected or (parameter.default in EMPTY and expected in EMPTY), name
    assert NextConfig.model_fields["rule"].default == DEFAULT_RULE


def test_every_option_has_a_help_text():
    for name, annotation in inspect.get_annotations(rounds.next_, eval_str=True).items():
        if name != "return":
            assert annotation.__metadata__[0].help, name


def test_rules_are_listed_with_one_line_each(capsys):
    assert cli.run(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(BUILT_IN)
    assert all(len(line.split()) > 3 for line in lines)


def test_help_imports_nothing_heavy():
    code = """
import sys
from firstscan.cli import run
run(["next", "--help"])
print("HEAVY", sorted({"torch", "numpy", "sklearn", "SimpleITK"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
