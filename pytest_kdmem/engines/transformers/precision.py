"""Runs one set of weights in several dtypes: they are held in the dtype of their files and cast while they compute.

So a model that is screened in half precision and decided in float32 is in memory once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

# Share of the free memory of a device that cast weights may take before they are cast layer by layer.
CAST_SHARE = 0.25
# What is taken for the free memory of a CPU.
CPU_BYTES = 4 << 30
# Settings by which torch may compute products of float32 numbers with fewer digits. Older versions lack them.
PRODUCTS = ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")


def hold_compactly(model: nn.Module, dtype: torch.dtype) -> None:
    """Hold in ``dtype`` every weight that loses nothing by it, one after another."""
    for weight in model.parameters():
        if weight.is_floating_point() and torch.equal((compact := weight.data.to(dtype)).to(weight.dtype), weight.data):
            weight.data = compact


class CastingModel:
    """A model whose weights are cast to another dtype while it computes.

    Args:
        model: The model, in evaluation mode on its device.
        cast_bytes: Largest size of the cast weights that are in memory at once, in bytes. Beyond it each layer's are
            cast when it runs. A share of the free memory if None.
    """

    def __init__(self, model: PreTrainedModel, *, cast_bytes: int | None = None) -> None:
        self.model = model
        self._cast_bytes = cast_bytes
        names = [*(model._keep_in_fp32_modules or ()), *(model._keep_in_fp32_modules_strict or ())]
        self._float32_names = re.compile("|".join(rf"(^|\.){re.escape(name)}(\.|$)" for name in names) or r"(?!)")

    @contextmanager
    def computing_in(self, dtype: torch.dtype) -> Iterator[None]:
        """Let the model compute in a dtype; in float32, products keep all digits whatever torch is set to."""
        with ExitStack() as restored:
            if dtype == torch.float32:
                restored.enter_context(exact_products())
            casts = self._casts(dtype)
            if sum(weight.numel() * target.itemsize for weight, target in casts.items()) <= self._most_cast_bytes():
                restored.enter_context(_cast(casts))
            else:
                layers = list(outermost_layers(self.model))
                of_layers = {id(weight) for layer in layers for weight in layer.parameters()}
                restored.enter_context(
                    _cast({weight: target for weight, target in casts.items() if id(weight) not in of_layers})
                )
                for layer in layers:
                    restored.enter_context(_cast_while_running(layer, casts))
            yield

    def _casts(self, dtype: torch.dtype) -> dict[nn.Parameter, torch.dtype]:
        """The weights that must be cast, and to which dtype; some models name weights that stay float32.

        None are of a model that the kernels of another library run.
        """
        if getattr(self.model, "is_quantized", False):
            return {}
        targets = {
            weight: torch.float32 if self._float32_names.search(name) else dtype
            for name, weight in self.model.named_parameters()
            if weight.is_floating_point()
        }
        return {weight: target for weight, target in targets.items() if weight.dtype != target}

    def _most_cast_bytes(self) -> int:
        if self._cast_bytes is not None:
            return self._cast_bytes
        on_gpu = self.model.device.type == "cuda"
        return int(CAST_SHARE * torch.cuda.mem_get_info()[0]) if on_gpu else CPU_BYTES


def outermost_layers(model: nn.Module) -> Iterator[nn.Module]:
    """The modules in lists of layers that lie in no other list."""
    for part in model.children():
        if isinstance(part, nn.ModuleList):
            yield from part.children()
        else:
            yield from outermost_layers(part)


@contextmanager
def exact_products() -> Iterator[None]:
    """Compute products of float32 numbers with all their digits, whatever torch is set to."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch before 2.9
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
                yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    settings: list[Any] = [_backend(name) for name in PRODUCTS]
    precisions = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, precision in zip(settings, precisions, strict=True):
            setting.fp32_precision = precision


def _backend(name: str) -> Any:
    backend: Any = torch.backends
    for part in name.split("."):
        backend = getattr(backend, part)
    return backend


@contextmanager
def _cast(casts: dict[nn.Parameter, torch.dtype]) -> Iterator[None]:
    restore = _cast_weights(casts.items())
    try:
        yield
    finally:
        restore()


def _cast_weights(casts: Iterable[tuple[nn.Parameter, torch.dtype]]) -> Callable[[], None]:
    """Cast weights in place, and return the function that restores them."""
    held: list[tuple[nn.Parameter, Tensor]] = []
    for weight, target in casts:
        held.append((weight, weight.data))
        weight.data = weight.data.to(target)

    def restore() -> None:
        for weight, data in held:
            weight.data = data

    return restore


@contextmanager
def _cast_while_running(layer: nn.Module, casts: dict[nn.Parameter, torch.dtype]) -> Iterator[None]:
    """Cast the weights of a layer before it runs, and restore them after it."""
    own = [(weight, casts[weight]) for weight in layer.parameters() if weight in casts]
    restores: list[Callable[[], None]] = []

    def before(*_: object) -> None:
        restores.append(_cast_weights(own))

    def after(*_: object) -> None:
        restores.pop()()

    hooks = [layer.register_forward_pre_hook(before), layer.register_forward_hook(after, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
