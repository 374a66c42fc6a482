"""What it costs to hold a loaded model against its digest, beside scoring: `python benchmarks/loading.py`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from pytest_kdmem.base.file_memory import CLOCK_TICK_NS
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.transformers.loaded import check_loaded, own_weights
from pytest_kdmem.engines.transformers.quiet import quiet
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, quiet():
        save_model(Path(folder), options.width, options.layers, options.dtype)
        time.sleep(2 * CLOCK_TICK_NS / 1e9)  # what was computed from younger files is not remembered
        time_parts(Path(folder), options.examples)


def save_model(folder: Path, width: int, layers: int, dtype: str) -> None:
    """Save a random Llama with a vocabulary of 32 000."""
    config = LlamaConfig(
        hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers, num_attention_heads=width // 64
    )
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)


def time_parts(folder: Path, examples: int) -> None:
    """Print the seconds of each part, and what the checks add to a cold audit of this many examples."""
    model = Model(str(folder))
    seconds: dict[str, float] = {}
    with timed(seconds, "first digest"):
        checkpoint = open_checkpoint(model)
    with timed(seconds, "from_pretrained"):
        result: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    loaded, loading_info = result
    with timed(seconds, "memory of our own"):
        own_weights(loaded)
    with timed(seconds, "digest of what is in memory"):
        check_loaded(loaded, loading_info, checkpoint)
    del loaded, result
    numerics = resolve_numerics(model, checkpoint, engine="transformers", device="cpu", dtype="auto", metrics="verdict")
    engine = TransformersEngine(model, checkpoint, numerics)
    ids = np.random.default_rng(0).integers(0, 32_000, (examples, EXTRACTION.scored_tokens), dtype=np.int32)
    with timed(seconds, f"scoring {examples} examples"):
        engine.score([Example(row, ids[row]) for row in range(examples)], EXTRACTION, "verdict", lambda done: None)
    for part, duration in seconds.items():
        print(f"{part:<28} {duration:6.2f} s")
    added = sum(seconds[part] for part in ("memory of our own", "digest of what is in memory"))
    print(
        f"{checkpoint.parameters / 1e6:.0f} million parameters: {added / sum(seconds.values()):.1%} of these are checks"
    )


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start


if __name__ == "__main__":
    main()
