"""Speed of the engines on models of the study's sizes: `python benchmarks/study_shapes.py --shape pythia-1.4b`.

Prints verdicts per second, and the share of the machine's rate of matrix products that went into tokens which must be
read: those of the prefix, and of the suffix up to the first miss. The rate of matrix products is measured, too.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.load import open_engine
from pytest_kdmem.engines.numerics import Numerics, installed_engines, resolve_numerics
from pytest_kdmem.engines.protocol import Engine
from pytest_kdmem.engines.transformers.quiet import quiet
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=100)


@dataclass(frozen=True)
class Shape:
    """Classes of a family, and the settings of its configuration."""

    config: type[Any]
    model: type[Any]
    sizes: dict[str, Any]


def pythia(layers: int, width: int, heads: int, vocabulary: int) -> Shape:
    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "vocab_size": vocabulary,
        "max_position_embeddings": 2048,
    }
    return Shape(GPTNeoXConfig, GPTNeoXForCausalLM, sizes)


SHAPES = {
    "toy": pythia(4, 128, 4, 2048),
    "pythia-1.4b": pythia(24, 2048, 16, 50_304),
    "pythia-12b": pythia(36, 5120, 40, 50_688),
    "qwen3-1.7b": Shape(
        Qwen3Config,
        Qwen3ForCausalLM,
        {
            "num_hidden_layers": 28,
            "hidden_size": 2048,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 6144,
            "vocab_size": 151_936,
            "tie_word_embeddings": True,
            "max_position_embeddings": 40_960,
        },
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="toy")
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--recited", type=float, default=0.05, help="Share of the examples that the model recites.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", action="append", help="Engine to measure; by default all that are installed.")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    peak = matrix_rate(device, dtype)
    print(f"{options.shape} on {device}, {str(dtype)[6:]}, matrix rate {peak / 1e12:.2f} TFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        body, head = write(SHAPES[options.shape], Path(folder), device, dtype)
        model = Model(folder)
        checkpoint = open_checkpoint(model)
        for name in options.engine or installed_engines():
            numerics = resolve_numerics(
                model, checkpoint, engine=name, device=device, dtype=str(dtype)[6:], metrics="verdict"
            )
            rate, tokens = measure_engine(model, checkpoint, numerics, options)
            # The head has to run where a suffix token is predicted, and nowhere else.
            flops = 2 * (body * tokens + head * (tokens - EXTRACTION.prefix_tokens + 1))
            share = rate * flops / peak
            print(f"{name:<13} {rate:9.1f} examples/s   {tokens:5.1f} tokens each   {share:6.1%} of the matrix rate")


def write(shape: Shape, folder: Path, device: str, dtype: torch.dtype) -> tuple[int, int]:
    """Write a model with random weights; return the parameters that multiply a token in its body and in its head."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            # The weights are large enough that the highest logits differ in half precision.
            model: PreTrainedModel = shape.model(shape.config(**shape.sizes, initializer_range=0.05))
    finally:
        torch.set_default_dtype(before)
    with quiet():
        model.save_pretrained(folder)
    parameters = sum(weight.numel() for weight in model.parameters())
    del model
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()  # for the engines
    head = shape.sizes["vocab_size"] * shape.sizes["hidden_size"]
    tied = bool(shape.sizes.get("tie_word_embeddings"))
    return parameters - (head if tied else 2 * head), head


def measure_engine(
    model: Model, checkpoint: Checkpoint, numerics: Numerics, options: argparse.Namespace
) -> tuple[float, float]:
    """Examples per second, as the median of several rounds, and tokens of an example that must be read."""
    ids = np.random.default_rng(0).integers(1, 2000, (options.examples, EXTRACTION.scored_tokens), dtype=np.int32)
    recited = round(options.recited * len(ids))
    with closing(open_engine(model, checkpoint, numerics, EXTRACTION, RunSettings())) as engine:
        first = EXTRACTION.prefix_tokens
        if recited:
            ids[:recited, first:] = engine.decode(list(ids[:recited, :first]), EXTRACTION.suffix_tokens)
        examples = [Example(at, row) for at, row in enumerate(np.random.default_rng(1).permutation(ids))]
        seconds, tokens_read = zip(*(time_round(engine, examples) for _ in range(options.rounds + 1)), strict=True)
    return len(examples) / statistics.median(seconds[1:]), statistics.mean(tokens_read)  # the first round warms up


def time_round(engine: Engine, examples: list[Example]) -> tuple[float, float]:
    start = time.perf_counter()
    scores = engine.score(examples, EXTRACTION, "verdict", lambda done: None)
    seconds = time.perf_counter() - start
    suffix = np.where(scores.memorized, EXTRACTION.suffix_tokens - 1, scores.first_miss)
    return seconds, EXTRACTION.prefix_tokens + float(suffix.mean())


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product; the best of ten runs."""
    size = 8192 if device == "cuda" else 1024
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        matrix @ matrix
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
