"""Makes a plain float32 model of a quantized one, by the kernels of the library that it was quantized with."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, GgufConfig, PreTrainedModel

from pytest_kdmem.engines.numerics import quantization_here
from pytest_kdmem.engines.transformers.loaded import own_weights
from pytest_kdmem.engines.transformers.packed_weights import check_packed
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.quantization import KEY

# Attributes by which a weight of torchao says that the inputs of its layer are rounded or scaled.
INPUT_ATTRIBUTES = ("act_quant_kwargs", "act_quant_scale", "act_pre_scale", "activation_quantization")
# Outputs of a dequantized layer may differ by so much of the greatest one: some kernels compute in half precision.
ROUNDING = 2.0**-6
COMPARED_INPUTS = 16


def loading_arguments(model: Model, checkpoint: Checkpoint, device: str) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a quantized model, which is dequantized while it is loaded if it can be.

    Its kernels may exist on the device alone that it is to run on, so that it is loaded onto that.

    Raises:
        EngineError: Its kernels do not run on this device, or a package that it needs is not installed.
    """
    quantization = checkpoint.quantization
    if quantization is None:
        return {}
    quantization_here(checkpoint, device)
    arguments: dict[str, Any] = {"device_map": {"": device}}
    if checkpoint.gguf is not None:
        return {"gguf_file": checkpoint.gguf.name, "quantization_config": GgufConfig(dequantize=True), **arguments}
    if quantization.is_dequantized:
        arguments["config"] = config = AutoConfig.from_pretrained(
            str(checkpoint.weights_folder), trust_remote_code=model.trust_remote_code, local_files_only=True
        )
        for part in (config, config.get_text_config()):
            if isinstance(settings := getattr(part, KEY, None), dict):
                settings["dequantize"] = True  # passed over by methods that do not know it
    return arguments


def finish_loading(model: PreTrainedModel, checkpoint: Checkpoint, dtype: torch.dtype) -> PreTrainedModel:
    """A loaded model with plain weights on the CPU, or one of which no tensor lies in a file if its kernels run it.

    Args:
        model: The loaded model.
        checkpoint: Its files.
        dtype: Dtype that the model was to be loaded in where it is not quantized.

    Raises:
        EngineError: Weights cannot be dequantized, or not to those that the library itself uses.
    """
    assert checkpoint.quantization is not None
    if not checkpoint.quantization.is_dequantized:
        model = deepcopy(model)
        if dtype == torch.float32:
            _widen_plain_layers(model)
        return model
    check_packed(model, checkpoint)
    plain = {id(weight): _dequantized(weight) for weight in model.parameters() if _is_quantized(weight)}
    for name, layer in list(model.named_modules()):
        for key, weight in list(layer.named_parameters(recurse=False)):
            if id(weight) in plain:
                _replace(model, name, layer, key, plain[id(weight)], checkpoint)
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is not None:
        quantizer.remove_quantization_config(model)
    model.to(torch.device("cpu"))  # type: ignore[arg-type]
    own_weights(model)
    return model


def _widen_plain_layers(model: nn.Module) -> None:
    """Cast layers that are not quantized to float32, which loses nothing.

    transformers leaves weights that it renames while it loads them in the dtype of their file, as the head of GPT-NeoX.
    """
    for layer in model.modules():
        weights = list(layer.parameters(recurse=False))
        if all(weight.is_floating_point() and not _is_quantized(weight) for weight in weights):
            for weight in weights:
                weight.data = weight.data.to(torch.float32)


def _is_quantized(weight: Tensor) -> bool:
    return hasattr(weight, "quant_state") or type(weight).__module__.startswith("torchao.")


def _dequantized(weight: Any) -> Tensor:
    """A weight in float32; of torchao or of bitsandbytes in four bits."""
    if any(getattr(weight, name, None) is not None for name in INPUT_ATTRIBUTES):
        raise EngineError(
            "According to its config.json, only weights were expected to be rounded, and this model rounds or scales"
            " the inputs of its layers as well; save the model again with the library that quantized it."
        )
    if hasattr(weight, "quant_state"):
        from transformers.integrations.bitsandbytes import dequantize_bnb_weight

        _check_blocks(weight)
        value: Tensor = dequantize_bnb_weight(weight)
    else:
        try:
            value = weight.dequantize(output_dtype=torch.float32)
        except TypeError:  # most kinds of weights have one dtype that they are used in
            value = weight.dequantize()
    return value.detach().to(torch.float32)


def _check_blocks(weight: Any) -> None:
    """Refuse what bitsandbytes reads wrongly: scales without their own scales, and on a CPU rows of no whole blocks."""
    state = weight.quant_state
    if not state.nested and not state.absmax.is_floating_point():
        raise EngineError(
            "Scales in floating point were expected beside the 4-bit weights; found quantized scales, of which"
            " nested_absmax or nested_quant_map is missing: save the model again."
        )
    row, block = int(state.shape[-1]), int(state.blocksize)
    if weight.device.type == "cpu" and row % block:
        raise EngineError(
            f"Rows of a multiple of {block} weights were expected, because kernels of bitsandbytes read others wrongly"
            f" on a CPU; a layer has rows of {row}: audit it on a GPU, or audit the model before it was quantized."
        )


def _replace(
    model: PreTrainedModel, name: str, layer: nn.Module, key: str, value: Tensor, checkpoint: Checkpoint
) -> None:
    """Give a layer a plain weight in place of a quantized one, if it then gives the same outputs."""
    if not isinstance(layer, nn.Linear) or key != "weight":
        raise EngineError(
            f"Quantized weights of linear layers alone were expected in {checkpoint.folder}, and {name}.{key} is one"
            f" of {type(layer).__name__}; audit the model before it was quantized."
        )
    with torch.device(value.device):
        plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, dtype=torch.float32)
    plain.weight = nn.Parameter(value)
    if layer.bias is not None:
        plain.bias = nn.Parameter(layer.bias.detach().to(torch.float32))
    difference = _difference(layer, plain)
    if not difference <= ROUNDING:
        raise EngineError(
            f"The outputs of the quantized layer {name} in {checkpoint.folder} were expected of its dequantized"
            f" weights, and they differ by up to {difference:.2g} of the greatest; audit the model before it was"
            " quantized, or with another version of the library that quantized it."
        )
    model.set_submodule(name, plain)


@torch.inference_mode()
def _difference(layer: nn.Linear, plain: nn.Linear) -> float:
    """Greatest difference of the outputs of two layers, in parts of the greatest output.

    Some kernels take inputs of the weight's own dtype only.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(COMPARED_INPUTS, plain.in_features, generator=generator).to(plain.weight.device)
    expected = plain(inputs)
    try:
        outputs = layer(inputs)
    except (RuntimeError, AssertionError, NotImplementedError):
        outputs = layer(inputs.to(layer.weight.dtype))
    return float((outputs.float() - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
