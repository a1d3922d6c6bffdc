"""The segmenters that a study or ``firstscan train`` can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from firstscan.domain.errors import UsageError

from .nnunet.segmenter import NnUnet
from .protocol import Segmenter
from .unet.segmenter import Unet

SEGMENTERS: dict[str, type[BaseModel]] = {"unet": Unet, "nnunet": NnUnet}


def segmenter(name: str, options: Mapping[str, Any]) -> Segmenter:
    """Return the segmenter ``name`` with ``options``.

    Raises
    ------
    UsageError : no such segmenter or option; the message lists what there is.
    """
    if name not in SEGMENTERS:
        raise UsageError(f"unknown segmenter {name!r}; choose one of: {', '.join(sorted(SEGMENTERS))}")
    try:
        made: Any = SEGMENTERS[name](**options)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or name}: {e['msg']}" for e in error.errors())
        known = ", ".join(SEGMENTERS[name].model_fields)
        raise UsageError(f"segmenter {name}: {problems}. Its options: {known}") from None
    result: Segmenter = made
    return result


def resolved(settings: Segmenter) -> dict[str, Any]:
    """Return the settings that change results, with the segmenter's name: its identity in a manifest."""
    model: Any = settings
    return {"name": settings.name, **model.model_dump(exclude=set(settings.execution))}
