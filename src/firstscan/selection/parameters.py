"""Whether the parameters of a strategy are what their fields say, by annotation and metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from firstscan.domain.errors import UsageError


def check_parameters(strategy: Any) -> None:
    """Check a dataclass of parameters.

    Whole numbers, numbers, switches, choices, tuples of these, and None beside them are checked; ``least``, ``above``
    and ``most`` in a field's metadata bound a number. Values per case and other annotations are left to the strategy.

    Raises
    ------
    UsageError : names the parameter, what it must be and what it is.
    """
    hints = get_type_hints(type(strategy))
    for f in fields(strategy):
        value = getattr(strategy, f.name)
        if not f.metadata.get("per_case") and not _fits(value, hints[f.name], f.metadata):
            wanted = _in_words(hints[f.name]) + _bounds_in_words(f.metadata)
            raise UsageError(f"{strategy.name}: {f.name} must be {wanted}; found {value!r}")


def _fits(value: object, hint: Any, bounds: Mapping[str, Any]) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, h, bounds) for h in get_args(hint))
    if get_origin(hint) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple and ... not in get_args(hint):
        parts = get_args(hint)
        return (
            isinstance(value, tuple)
            and len(value) == len(parts)
            and all(_fits(v, p, bounds) for v, p in zip(value, parts, strict=True))
        )
    if hint is int or hint is float:
        return _is_number(value, whole=hint is int) and _within(value, bounds)
    return isinstance(value, hint) if hint in (bool, str, type(None)) else True


def _is_number(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        return False
    return math.isfinite(value)


def _within(value: Any, bounds: Mapping[str, Any]) -> bool:
    low, above, high = bounds.get("least", -math.inf), bounds.get("above", -math.inf), bounds.get("most", math.inf)
    return bool(low <= value <= high and value > above)


def _in_words(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_in_words(h) for h in get_args(hint))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"{len(get_args(hint))} values, each {_in_words(get_args(hint)[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "nothing"}
    return names.get(hint, str(hint))


def _bounds_in_words(bounds: Mapping[str, Any]) -> str:
    said = {"least": "at least", "above": "above", "most": "at most"}
    found = [f"{words} {bounds[name]:g}" for name, words in said.items() if name in bounds]
    return f", {' and '.join(found)}" if found else ""
