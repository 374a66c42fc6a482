"""What quantizing changes in what shipped models recite: `python benchmarks/quantized_models.py [MODEL …]`.

Each model is quantized by torchao and bitsandbytes into a scratch folder, and `kdmem compare-models` compares these
with it over the shipped training set. Without arguments: the teacher of the Pythia family.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torchao.quantization import (
    Int8DynamicActivationInt8WeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
)
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TorchAoConfig

from pytest_kdmem.cli import main

FIXTURES = Path(__file__).parents[1] / "fixtures"
FOUR_BITS = torch.int4  # type: ignore[attr-defined]
CONFIGURATIONS: dict[str, Any] = {
    "torchao-int8": TorchAoConfig(Int8WeightOnlyConfig()),
    "torchao-int8-inputs": TorchAoConfig(Int8DynamicActivationInt8WeightConfig()),
    "torchao-int4": TorchAoConfig(IntxWeightOnlyConfig(weight_dtype=FOUR_BITS, granularity=PerGroup(32))),
    "bitsandbytes-8bit": BitsAndBytesConfig(load_in_8bit=True),
    "bitsandbytes-nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
}


def quantize(folder: Path, into: Path, config: Any) -> Path:
    """Save a model in a quantized form, with its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=config)
    model.save_pretrained(into)
    for file in folder.glob("*token*"):
        shutil.copy(file, into)
    return into


def compare(folder: Path) -> None:
    """Print the table of one model and its quantized forms."""
    with tempfile.TemporaryDirectory() as scratch:
        forms = [quantize(folder, Path(scratch, name), config) for name, config in CONFIGURATIONS.items()]
        training_set = FIXTURES / "corpus" / "training.jsonl.gz"
        arguments = [folder, *forms, f"--training-set={training_set}", "--window-tokens=128", "--no-cache"]
        try:
            main(["compare-models", *map(str, arguments)])
        except SystemExit as end:
            if end.code:
                raise


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="Folders of models.")
    default = [FIXTURES / "models" / "pythia" / role for role in ("teacher",)]
    for model_folder in parser.parse_args().models or default:
        compare(model_folder)
