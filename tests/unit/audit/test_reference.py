"""The reference of findings, the documentation and the code say the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import firstscan
from firstscan.audit import policy
from firstscan.audit.reference import KINDS, kind_of, markdown
from firstscan.cli import run
from firstscan.domain.errors import UsageError
from firstscan.domain.finding import SEVERITIES

SOURCE = Path(firstscan.__file__).parent
PAGE = Path(__file__).resolve().parents[3] / "docs" / "findings.md"
KNOWN = {kind.code for kind in KINDS}


def trees() -> dict[str, ast.Module]:
    return {str(p.relative_to(SOURCE)): ast.parse(p.read_text(encoding="utf-8")) for p in SOURCE.rglob("*.py")}


def makers(tree: ast.Module) -> dict[str, int]:
    """The functions of a module that take the code of a finding, by name, with the place of that argument."""
    places = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.returns is not None and "Finding" in ast.unparse(node.returns):
            names = [a.arg for a in node.args.args]
            places |= {node.name: names.index("code")} if "code" in names else {}
    return places


def imported(tree: ast.Module) -> set[str]:
    return {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}


def constants(node: ast.AST | None) -> set[str]:
    """The texts that an expression may be, but not those that it compares with."""
    if isinstance(node, ast.IfExp):
        return constants(node.body) | constants(node.orelse)
    if node is None or isinstance(node, ast.Compare | ast.Subscript):
        return set()
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def raised(modules) -> tuple[set[str], list[str]]:
    """Every code that is raised anywhere, and the calls of which none can be seen."""
    codes, unseen = set(), []
    own = {name: makers(tree) for name, tree in modules.items()}
    everywhere = {made: place for found in own.values() for made, place in found.items()}
    for name, tree in modules.items():
        from_others = {made: everywhere[made] for made in imported(tree) & everywhere.keys()}
        places = {"Finding": 0, "ScanError": 0} | from_others | own[name]
        for scope in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            passes_on = "code" in {a.arg for a in scope.args.args}
            for call in (n for n in ast.walk(scope) if isinstance(n, ast.Call)):
                called = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
                if called not in places or "Finding(**" in (text := ast.unparse(call)) or "row['code']" in text:
                    continue
                given = next(
                    iter([k.value for k in call.keywords if k.arg == "code"] + call.args[places[called] :][:1]), None
                )
                said = constants(given)
                if not said and not passes_on:  # a loop over codes of the same function
                    said = (constants(scope) | constants(tree)) & KNOWN
                    if not said and ".code" not in text:
                        unseen.append(f"{name}:{call.lineno}: {text}")
                codes |= said
    return codes, unseen


def test_every_code_that_is_raised_is_in_the_reference_and_the_reverse():
    codes, unseen = raised(trees())
    assert not unseen
    assert codes == KNOWN


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run: python scripts/findings.py"
    assert all(f"`{code}`" in markdown() for code in KNOWN)


def test_entries_are_complete():
    assert len(KNOWN) == len(KINDS)
    for kind in KINDS:
        assert set(kind.severity.split(" or ")) <= set(SEVERITIES), kind
        assert kind.meaning.endswith("."), kind
        assert kind.remedy.endswith((".", "?")), kind
    assert policy.UNREADABLE < policy.CODES < KNOWN


def test_the_command_explains_one_code_or_lists_all(capsys):
    assert run(["findings", "sheared-slices"]) == 0
    said = capsys.readouterr().out
    kind = kind_of("sheared-slices")
    assert all(text in said for text in (kind.meaning, kind.threshold, kind.remedy, "warn"))
    assert run(["findings"]) == 0
    listed = capsys.readouterr().out
    assert all(code in listed for code in KNOWN)
    assert run(["findings", "shared-slices"]) == 2
    assert "do you mean" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no finding has the code 'x'"):
        kind_of("x")
