"""Compiles the decoder layers of a model, and runs them as they were written where compilation fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from pytest_kdmem.errors.harmless import one_line

BACKEND = "inductor"


class Compilation:
    """Functions that are compiled together: once one of them fails to compile, all run as they were written.

    Args:
        report: Called with one line when compilation fails.
        backend: Compiler, as torch names it.

    Attributes:
        is_on: Whether functions run compiled; while it is false, they run as they were written.
        has_failed: Whether one of them failed to compile.
    """

    def __init__(self, report: Callable[[str], None], *, backend: str = BACKEND) -> None:
        self._report, self._backend = report, backend
        self.is_on, self.has_failed = True, False

    def compile(self, function: Callable[..., Any], *, dynamic: bool | None = None) -> Callable[..., Any]:
        """A function that gives the same, compiled when it is first called.

        Args:
            function: The function as it was written.
            dynamic: Compile for any shape (true), for each shape anew (false), or for any once there are two (None).
        """
        compiled = torch.compile(function, backend=self._backend, dynamic=dynamic, options=_options(self._backend))

        def call(*arguments: Any, **named: Any) -> Any:
            if self.is_on and not self.has_failed:
                try:
                    return compiled(*arguments, **named)
                except RuntimeError as error:
                    if not _is_compilation_failure(error):
                        raise
                    self.has_failed = True
                    self._report(one_line(f"runs uncompiled, because compilation failed: {_first_line(error)}"))
            return function(*arguments, **named)

        return update_wrapper(call, function)


def compile_layers(model: nn.Module, compilation: Compilation, *, dynamic: bool | None = None) -> int:
    """Compile each decoder layer of a model, and return their number.

    Layers of one class share their code, so that one is compiled and the others take it over. Names of weights and
    modules stay as they are.

    Args:
        model: A model of transformers, or one that wraps it.
        compilation: Compiles, and falls back for all layers at once.
        dynamic: As in `Compilation.compile`.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for layer in layers:
        layer.forward = compilation.compile(layer.forward, dynamic=dynamic)
    return len(layers)


def _options(backend: str) -> dict[str, Any] | None:
    """Settings of a compiler.

    By them compiled code draws the same random numbers as the code that it was made of, and is made in the same way
    each time. Older versions of torch lack the second setting.
    """
    if backend != BACKEND:
        return None
    from torch._inductor import config

    return {"fallback_random": True} | ({"deterministic": True} if hasattr(config, "deterministic") else {})


def _is_compilation_failure(error: RuntimeError) -> bool:
    # Imported here, because only a run that compiles has loaded the compiler.
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler, OperatorIssue

    return isinstance(error, (TorchDynamoException, CppCompileError, InvalidCxxCompiler, OperatorIssue))


def _first_line(error: Exception) -> str:
    error = getattr(error, "inner_exception", error)  # what the compiler raised
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
