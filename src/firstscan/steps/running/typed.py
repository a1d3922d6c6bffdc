"""Options as they are typed: lists of ids, NAME=VALUE pairs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firstscan.domain.errors import UsageError


def read_ids(path: Path) -> tuple[str, ...]:
    """Return the case ids of a text file (one a line, ``#`` starts a comment) or of a CSV's ``case_id`` column.

    The CSV's columns are parted by commas, semicolons or tabs.

    Raises UsageError where the file is missing or holds no id.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read as a list of case ids: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} cannot be read as a list of case ids: it is not text in UTF-8; save it as plain text"
        ) from error
    for delimiter in ",;\t":
        rows = csv.DictReader(lines, delimiter=delimiter)
        if "case_id" in (rows.fieldnames or ()):
            ids = [row["case_id"] or "" for row in rows]
            break
    else:
        ids = [line.partition("#")[0] for line in lines]
    named = tuple(dict.fromkeys(i.strip() for i in ids if i.strip()))
    if not named:
        raise UsageError(f"{path} names no case; write one case id a line, or a CSV table with a column case_id")
    return named


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """Return ``NAME=VALUE`` pairs as parameters: numbers, true and false as such, ``a,b`` as a pair, the rest as text.

    Raises UsageError where one is not of that form.
    """
    options: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--option {pair}: write NAME=VALUE, for example --option neighbours=15")
        parts = [_scalar(v) for v in value.split(",")]
        options[name] = parts[0] if len(parts) == 1 else tuple(parts)
    return options


def read_severities(given: Sequence[str]) -> dict[str, str]:
    """Return ``CODE=SEVERITY`` pairs as a mapping.  Raises UsageError where one is not of that form."""
    pairs = [pair.partition("=") for pair in given]
    wrong = next((pair for pair, (code, equals, _) in zip(given, pairs, strict=True) if not (code and equals)), None)
    if wrong is not None:
        raise UsageError(f"--severity {wrong}: write CODE=SEVERITY, for example --severity duplicate=warn")
    return {code: severity for code, _, severity in pairs}


def read_classes(given: Sequence[str]) -> dict[str, int]:
    """Return ``NAME=VALUE,NAME=VALUE`` lists as a mapping.  Raises UsageError where one is not of that form."""
    classes: dict[str, int] = {}
    for text in given:
        for pair in text.split(","):
            name, equals, value = (part.strip() for part in pair.rpartition("="))
            if not (equals and name and value.isdigit()):
                raise UsageError(f"--classes {text}: write NAME=VALUE, for example --classes lesion=1,oedema=2")
            if name in classes:
                raise UsageError(f"--classes names {name!r} twice")
            classes[name] = int(value)
    return classes


def _scalar(text: str) -> bool | int | float | str:
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
