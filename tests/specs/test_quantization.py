"""What a configuration says of quantization decides whether float32 or the library's kernels decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.quantization import Quantization, notes_on, read_quantization


def read(tmp_path: Path, settings: Any) -> Quantization | None:
    return read_quantization({"quantization_config": settings}, tmp_path)


@pytest.mark.parametrize(
    ("settings", "expected", "dequantized", "noted"),
    [
        ({"quant_method": "torchao", "quant_type": {"_type": "Int8WeightOnlyConfig"}}, "torchao", True, False),
        (
            {"quant_method": "torchao", "quant_type": {"default": {"_type": "FqnToConfig", "_data": [
                {"_type": "Int8DynamicActivationInt8WeightConfig"}]}}}, "torchao", False, True,
        ),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", True, False),
        ({"load_in_8bit": True}, "bitsandbytes", False, True),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"a": {"input_activations": None}}},
            "compressed-tensors", True, False,
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"a": {"input_activations": {"num_bits": 8}}}},
            "compressed-tensors", True, False,
        ),
        ({"quant_method": "fp8"}, "fp8", True, True),
        ({"quant_method": "mxfp4"}, "mxfp4", True, False),
        ({"quant_method": "gptq"}, "gptq", False, True),
        ({"quant_method": "of tomorrow"}, "of tomorrow", False, True),
    ],
    ids=str,
)  # fmt: skip
def test_the_way_follows_from_the_configuration(tmp_path, settings, expected, dequantized, noted):
    quantization = read(tmp_path, settings)
    assert quantization is not None
    assert (quantization.method, quantization.is_dequantized) == (expected, dequantized)
    assert bool(notes_on(quantization)) == noted


def test_a_plain_model_has_none(tmp_path):
    assert read_quantization({"text_config": {}}, tmp_path) is None
    assert notes_on(None) == ()


def test_a_part_of_a_configuration_may_name_it(tmp_path):
    config = {"text_config": {"quantization_config": {"quant_method": "awq"}}}
    assert read_quantization(config, tmp_path) == Quantization("awq")


@pytest.mark.parametrize("settings", [{"bits": 4}, {"quant_method": 4}, "int8", {"quant_method": ""}], ids=str)
def test_a_configuration_without_a_method_is_refused(tmp_path, settings):
    with pytest.raises(SpecError, match="A method was expected as quant_method"):
        read(tmp_path, settings)
