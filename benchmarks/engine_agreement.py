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

from pytest_kdmem.corpus.examples import Example, load_tokenizer, stream_examples
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
    """Examples of one source, and how much of each must be recited."""

    name: str
    examples: list[Example]
    extraction: Extraction


def cases_of(folder: Path, sources: Sequence[str], most: int) -> Iterator[Case]:
    """The shipped corpus with its suffixes of 50 tokens, and other text with these and with the next two tokens.

    Of text that a model never saw it recites no 50 tokens, and a comparison of misses alone shows little.
    """
    tokenizer = load_tokenizer(folder)
    for source in (CORPUS, *sources):
        stream = stream_examples(TrainingSet(source), tokenizer, EXTRACTION)
        distinct = {one.digest: one for one in stream if len(one.ids) >= EXTRACTION.scored_tokens}
        examples = list(islice(distinct.values(), most))
        for suffix_tokens in (50,) if source == CORPUS else (50, 2):
            yield Case(
                f"{Path(source).name.split('.')[0]} 50+{suffix_tokens}", examples, Extraction(50, suffix_tokens, 128)
            )


def scores(name: str, model: Model, cases: Sequence[Case], dtype: str) -> list[Scores]:
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine=name, device="auto", dtype=dtype, metrics="verdict")
    with closing(open_engine(model, checkpoint, numerics, EXTRACTION, RunSettings())) as engine:
        return [engine.score(case.examples, case.extraction, "verdict", lambda done: None) for case in cases]


def compare(folder: Path, sources: Sequence[str], most: int, dtype: str) -> bool:
    """Print a model's lines; whether both ran it and every verdict that neither calls ambiguous is the same."""
    cases, called = list(cases_of(folder, sources, most)), "/".join(folder.parts[-2:])
    try:
        by_vllm = scores("vllm", Model(str(folder)), cases, dtype)
    except EngineError as error:
        print(f"{called:<20} {error}", flush=True)
        return False
    agree = True
    by_transformers = scores("transformers", Model(str(folder)), cases, dtype)
    for case, one, other in zip(cases, by_vllm, by_transformers, strict=True):
        differ, band = one.memorized != other.memorized, one.ambiguous | other.ambiguous
        both = one.memorized & other.memorized
        apart = float(np.abs(one.margin - other.margin)[both].max()) if both.any() else 0.0
        print(
            f"{called:<20} {case.name:<16} {len(case.examples):>5} examples  memorized {int(one.memorized.sum()):>4}"
            f" (vllm) {int(other.memorized.sum()):>4} (transformers)  disagreements {int(differ.sum())}, outside the"
            f" band {int((differ & ~band).sum())}  margins apart {apart:.1e}  ambiguous {one.ambiguous.mean():.2%} /"
            f" {other.ambiguous.mean():.2%}  tolerance {one.tolerance:.1e} / {other.tolerance:.1e}",
            flush=True,
        )
        agree &= not (differ & ~band).any()
    return agree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--text", nargs="*", default=[], help="further text (.txt, .jsonl)")
    parser.add_argument("--examples", type=int, default=2048)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    folders = options.models or sorted(path.parent for path in FIXTURES.glob("models/*/*/config.json"))
    alike = [compare(folder, options.text, options.examples, options.dtype) for folder in folders]
    sys.exit(0 if all(alike) else 1)


if __name__ == "__main__":
    main()
