"""The settings of another round that change its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from firstscan.domain.errors import UsageError
from firstscan.selection.queries.measures import Aggregate
from firstscan.selection.queries.registry import DEFAULT_RULE, rule_class
from firstscan.selection.slices.unsure import SliceAggregate
from firstscan.steps.running.config import Scalar, SlicesConfig


class NextConfig(SlicesConfig):
    """Another round: ``labels`` came back (a folder of label maps, or what ``firstscan collect`` made), ``more`` scans.

    ``rule`` chooses them, with parameters ``option`` and ``seed``; ``aggregate`` says which voxels stand for a scan
    (None: the predicted foreground, for rules that ask). ``members`` networks are trained from several seeds, ``steps``
    training steps each (None: the segmenter's); with ``segmenter`` nnunet they are its folds. ``setting`` holds
    settings of the segmenter. A ``model`` or several that were trained before take their place, or ``predictions``, a
    folder of another program's probability maps. ``classes`` names the label values where nothing beside the labels
    does.
    """

    labels: Path
    more: int | None = Field(default=None, ge=1)
    rule: str = DEFAULT_RULE
    aggregate: Aggregate | None = None
    members: int = Field(default=3, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seed: int = Field(default=42, ge=0, lt=2**32)
    segmenter: Literal["unet", "nnunet"] = "unet"
    setting: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)
    model: tuple[Path, ...] = ()
    predictions: Path | None = None
    slices_by: Literal["even", "entropy", "information", "margin"] = "even"
    slice_aggregate: SliceAggregate = "sum"
    curve: bool = False
    classes: Mapping[str, int] = Field(default_factory=dict)
    option: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> NextConfig:
        if self.model and self.predictions is not None:
            raise ValueError("--model and --predictions: one of them predicts; leave the other out")
        place = "--model" if self.model else "--predictions" if self.predictions is not None else None
        trained = {"segmenter": self.segmenter != "unet", "setting": bool(self.setting), "steps": self.steps}
        given = next((name for name, value in trained.items() if value), None)
        if place is not None and given is not None:
            raise ValueError(f"--{given} is about training, and with {place} nothing is trained; leave one of them out")
        if self.steps is not None and self.segmenter == "nnunet":
            raise ValueError("--steps is about unet; for nnunet say --setting epochs=N")
        if self.steps is not None and "iterations" in self.setting:
            raise ValueError("--steps and --setting iterations say the same; leave one of them out")
        return self

    @model_validator(mode="after")
    def _how_many(self) -> NextConfig:
        if self.more is None and self.slices is None:
            raise ValueError("say how much to add: --more B scans, or --slices S slices")
        if self.slices_by != "even" and self.slicing is None:
            raise ValueError(f"--slices-by {self.slices_by} is about a plan by slice; add --slices S or --every K")
        if self.slice_aggregate != "sum" and self.slices_by == "even":
            raise ValueError("--slice-aggregate is about what the model is unsure of; add --slices-by entropy")
        return self

    def rule_options(self) -> dict[str, Any]:
        """Return the parameters of the rule.

        Raises
        ------
        UsageError : an unknown rule or parameter, or an aggregation for a rule that averages no voxels.
        """
        kind = rule_class(self.rule)
        known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
        options = dict(self.option)
        if self.aggregate is not None:
            if "aggregate" not in known:
                raise UsageError(f"--aggregate: rule {self.rule} averages no voxels; leave it out")
            options["aggregate"] = self.aggregate
        if unknown := sorted(set(options) - known):
            valid = f"its options are {', '.join(sorted(known))}" if known else "it has no options"
            raise UsageError(f"rule {self.rule!r} has no option {', '.join(map(repr, unknown))}; {valid}")
        kind(**options)
        return options
