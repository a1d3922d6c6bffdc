"""A compiler that is missing costs speed and a line in the log, nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch

from firstscan.learning.compiling import Compiled


def failing(error: Exception) -> Callable[..., object]:
    def compiler(function: object, **options: object) -> object:
        def fast(tensor: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            raise error

        calls: list[int] = []
        fast.calls = calls  # type: ignore[attr-defined]
        return fast

    return compiler


def test_without_a_compiler_the_plain_function_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", failing(RuntimeError("no C++ compiler\nand a long trace")))
    doubled = Compiled(lambda tensor: tensor * 2)
    fast = doubled._fast
    with caplog.at_level(logging.WARNING):
        assert [doubled(torch.tensor(float(i))).item() for i in (1, 2)] == [2.0, 4.0]
    assert caplog.messages == ["going on without torch.compile: RuntimeError: no C++ compiler"]
    assert len(fast.calls) == 1


def test_memory_that_runs_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", failing(torch.OutOfMemoryError("full")))
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(lambda tensor: tensor)(torch.zeros(1))


def test_errors_of_the_function_itself_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)

    def broken(tensor: torch.Tensor) -> torch.Tensor:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        Compiled(broken)(torch.zeros(1))
