"""Verdicts of vLLM and transformers on the same examples: `python benchmarks/engine_agreement.py [MODEL …]`.

A line for each model and text; without arguments, over all shipped models. Ends with status 1 if the two disagree where
neither calls the verdict ambiguous, or a model cannot run in vLLM.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.load import open_engine
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.protocol import Scores
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
CORPUS = str(FIXTURES / "corpus/training.jsonl.gz")
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


@dataclass(frozen=True)
class Case:
    """Examples of one source, and the lengths by which a verdict is taken."""

    name: str
    examples: list[Example]
    extraction: Extraction


def make_cases(folder: Path, sources: Sequence[str], limit: int) -> Iterator[Case]:
    """The shipped corpus with suffixes of 50 tokens, and other text with suffixes of 50 and of 2 tokens.

    A model recites no 50 tokens of a text that it never saw, and a comparison of misses alone shows little.
    """
    tokenizer = load_tokenizer(folder)
    for source in (CORPUS, *sources):
        stream = stream_examples(TrainingSet(source), tokenizer, EXTRACTION)
        distinct = {example.digest: example for example in stream if len(example.ids) >= EXTRACTION.scored_tokens}
        examples = list(islice(distinct.values(), limit))
        for suffix_tokens in (50,) if source == CORPUS else (50, 2):
            yield Case(
                f"{Path(source).name.split('.')[0]} 50+{suffix_tokens}", examples, Extraction(50, suffix_tokens, 128)
            )


def scores(name: str, model: Model, cases: Sequence[Case], dtype: str) -> list[Scores]:
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine=name, device="auto", dtype=dtype, metrics="verdict")
    with closing(open_engine(model, checkpoint, numerics, EXTRACTION, RunSettings())) as engine:
        return [engine.score(case.examples, case.extraction, "verdict", lambda done: None) for case in cases]


def compare(folder: Path, sources: Sequence[str], limit: int, dtype: str) -> bool:
    """Print a model's lines, and return whether both engines ran it and agree wherever neither is ambiguous."""
    cases, model_name = list(make_cases(folder, sources, limit)), "/".join(folder.parts[-2:])
    try:
        by_vllm = scores("vllm", Model(str(folder)), cases, dtype)
    except EngineError as error:
        print(f"{model_name:<20} {error}", flush=True)
        return False
    all_agree = True
    by_transformers = scores("transformers", Model(str(folder)), cases, dtype)
    for case, vllm, transformers in zip(cases, by_vllm, by_transformers, strict=True):
        differ, ambiguous = vllm.memorized != transformers.memorized, vllm.ambiguous | transformers.ambiguous
        both = vllm.memorized & transformers.memorized
        difference = float(np.abs(vllm.margin - transformers.margin)[both].max()) if both.any() else 0.0
        print(
            f"{model_name:<20} {case.name:<16} {len(case.examples):>5} examples "
            f" memorized {int(vllm.memorized.sum()):>4} (vllm) {int(transformers.memorized.sum()):>4} (transformers) "
            f" disagreements {int(differ.sum())}, not ambiguous {int((differ & ~ambiguous).sum())} "
            f" margins differ by {difference:.1e} "
            f" ambiguous {vllm.ambiguous.mean():.2%} / {transformers.ambiguous.mean():.2%} "
            f" tolerance {vllm.tolerance:.1e} / {transformers.tolerance:.1e}",
            flush=True,
        )
        all_agree &= not (differ & ~ambiguous).any()
    return all_agree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--text", nargs="*", default=[], help="Further texts (.txt, .jsonl).")
    parser.add_argument("--examples", type=int, default=2048)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    folders = options.models or sorted(path.parent for path in FIXTURES.glob("models/*/*/config.json"))
    agreements = [compare(folder, options.text, options.examples, options.dtype) for folder in folders]
    sys.exit(0 if all(agreements) else 1)


if __name__ == "__main__":
    main()
