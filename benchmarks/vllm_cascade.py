"""Speed of the cascade, relative to vLLM's decoding of all 50 tokens: `python benchmarks/vllm_cascade.py`.

All methods run in one engine, in turn, and must give the same verdicts. The staged method decodes 4 tokens of each
example, and then the rest of those that agreed with their target, which are prefilled again.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.vllm.engine import VllmEngine
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)
FIRST_TOKENS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(FIXTURES / "models/pythia/teacher"))
    parser.add_argument("--data", default=str(FIXTURES / "corpus/training.jsonl.gz"))
    parser.add_argument("--examples", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = Model(options.model)
    checkpoint = open_checkpoint(model)
    stream = stream_examples(TrainingSet(options.data), load_tokenizer(checkpoint.folder), EXTRACTION)
    # An audit scores an exact duplicate once.
    distinct = {example.digest: example for example in stream if len(example.ids) >= EXTRACTION.scored_tokens}
    examples = list(islice(distinct.values(), options.examples))
    numerics = resolve_numerics(model, checkpoint, engine="vllm", device="auto", dtype="auto", metrics="verdict")
    engine = VllmEngine(model, checkpoint, numerics, longest_tokens=EXTRACTION.scored_tokens)
    first, last = EXTRACTION.prefix_tokens, EXTRACTION.scored_tokens

    def cascade() -> npt.NDArray[np.bool_]:
        return engine.score(examples, EXTRACTION, "verdict", lambda done: None).memorized

    def staged() -> npt.NDArray[np.bool_]:
        """Decode a few tokens of all examples, and then the rest of those that still agree."""
        remaining = np.arange(len(examples))
        for begin, end in ((first, first + FIRST_TOKENS), (first + FIRST_TOKENS, last)):
            decoded = engine.decode([examples[row].ids[:begin] for row in remaining], end - begin)
            agrees = [
                np.array_equal(examples[row].ids[begin:end], tokens)
                for row, tokens in zip(remaining, decoded, strict=True)
            ]
            remaining = remaining[agrees]
        return np.isin(np.arange(len(examples)), remaining)

    def plain() -> npt.NDArray[np.bool_]:
        decoded = engine.decode([example.ids[:first] for example in examples], EXTRACTION.suffix_tokens)
        pairs = zip(examples, decoded, strict=True)
        return np.array([np.array_equal(example.ids[first:last], tokens) for example, tokens in pairs])

    methods: dict[str, Callable[[], npt.NDArray[np.bool_]]] = {"plain": plain, "cascade": cascade, "staged": staged}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    try:
        for round_number in range(options.rounds + 1):
            verdicts = {}
            for name, run in methods.items():
                start = time.perf_counter()
                verdicts[name] = run()
                if round_number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - start)
            for name, verdict in verdicts.items():
                assert np.array_equal(verdict, verdicts["plain"]), f"{name} gives other verdicts than plain decoding"
    finally:
        engine.close()
    print(f"{len(examples)} examples, {verdicts['plain'].mean():.1%} memorized")
    for name, durations in seconds.items():
        ratios = (slow / fast for slow, fast in zip(seconds["plain"], durations, strict=True))
        ratio, rate = statistics.median(ratios), len(examples) / statistics.median(durations)
        print(f"{name:<8} {rate:7.0f} examples/s   {ratio:5.2f} × plain decoding")


if __name__ == "__main__":
    main()
