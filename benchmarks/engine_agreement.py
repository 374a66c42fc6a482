"""Verdicts of vLLM and transformers on the same examples: `python benchmarks/engine_agreement.py [MODEL …]`.

One line per model; without arguments, over every shipped one. It ends with status 1 if the two ever disagree where
neither calls the verdict ambiguous, or a model cannot run in vLLM.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

import numpy as np

from pytest_kdmem.checkpoint import open_checkpoint
from pytest_kdmem.corpus.examples import Example, load_tokenizer, stream_examples
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.protocol import Engine, Scores
from pytest_kdmem.engines.transformers import TransformersEngine
from pytest_kdmem.engines.vllm import VllmEngine
from pytest_kdmem.errors import EngineError
from pytest_kdmem.spec import Extraction, Model, TrainingSet

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


def scores(name: str, model: Model, examples: list[Example], dtype: str) -> Scores:
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine=name, device="auto", dtype=dtype, metrics="verdict")
    engine: Engine = (
        VllmEngine(model, checkpoint, numerics, longest_tokens=EXTRACTION.scored_tokens)
        if name == "vllm"
        else TransformersEngine(model, checkpoint, numerics)
    )
    try:
        return engine.score(examples, EXTRACTION, "verdict", lambda done: None)
    finally:
        engine.close()


def compare(folder: Path, data: TrainingSet, most: int, dtype: str) -> bool:
    """Print a model's line; whether both ran it and every verdict that neither calls ambiguous is the same."""
    stream = stream_examples(data, load_tokenizer(folder), EXTRACTION)
    distinct = {one.digest: one for one in stream if len(one.ids) >= EXTRACTION.scored_tokens}
    examples = list(islice(distinct.values(), most))
    called = f"{'/'.join(folder.parts[-2:]):<20}"
    try:
        one = scores("vllm", Model(str(folder)), examples, dtype)
    except EngineError as error:
        print(f"{called} {error}", flush=True)
        return False
    other = scores("transformers", Model(str(folder)), examples, dtype)
    differ, band = one.memorized != other.memorized, one.ambiguous | other.ambiguous
    both = one.memorized & other.memorized
    apart = float(np.abs(one.margin - other.margin)[both].max()) if both.any() else 0.0
    print(
        f"{called} {len(examples):>5} examples  memorized {int(one.memorized.sum()):>5} (vllm)"
        f" {int(other.memorized.sum()):>5} (transformers)  disagreements {int(differ.sum())}, outside the band"
        f" {int((differ & ~band).sum())}  first misses apart {int((one.first_miss != other.first_miss).sum())}"
        f"  margins apart {apart:.1e}  ambiguous {one.ambiguous.mean():.2%} / {other.ambiguous.mean():.2%}"
        f"  tolerance {one.tolerance:.1e} / {other.tolerance:.1e}",
        flush=True,
    )
    return not (differ & ~band).any()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--data", default=str(FIXTURES / "corpus/training.jsonl.gz"))
    parser.add_argument("--examples", type=int, default=2048)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    folders = options.models or sorted(path.parent for path in FIXTURES.glob("models/*/*/config.json"))
    alike = [compare(folder, TrainingSet(options.data), options.examples, options.dtype) for folder in folders]
    sys.exit(0 if all(alike) else 1)


if __name__ == "__main__":
    main()
