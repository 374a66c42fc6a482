"""The cascade against vLLM's plain decoding of all 50 tokens: `python benchmarks/vllm_cascade.py`.

All run in one engine, in turns, and must give the same verdicts. The staged way asks for 4 tokens of each example, and
then for the rest of those that followed their target, which are prefilled anew.
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

from pytest_kdmem.corpus.examples import load_tokenizer, stream_examples
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
    distinct = {one.digest: one for one in stream if len(one.ids) >= EXTRACTION.scored_tokens}
    examples = list(islice(distinct.values(), options.examples))
    numerics = resolve_numerics(model, checkpoint, engine="vllm", device="auto", dtype="auto", metrics="verdict")
    engine = VllmEngine(model, checkpoint, numerics, longest_tokens=EXTRACTION.scored_tokens)
    first, last = EXTRACTION.prefix_tokens, EXTRACTION.scored_tokens

    def cascade() -> npt.NDArray[np.bool_]:
        return engine.score(examples, EXTRACTION, "verdict", lambda done: None).memorized

    def staged() -> npt.NDArray[np.bool_]:
        """A few tokens of all, then the rest of those that are left: they are prefilled anew."""
        left = np.arange(len(examples))
        for begin, end in ((first, first + FIRST_TOKENS), (first + FIRST_TOKENS, last)):
            spoken = engine.decode([examples[row].ids[:begin] for row in left], end - begin)
            followed = [
                np.array_equal(examples[row].ids[begin:end], tokens) for row, tokens in zip(left, spoken, strict=True)
            ]
            left = left[followed]
        return np.isin(np.arange(len(examples)), left)

    def plain() -> npt.NDArray[np.bool_]:
        spoken = engine.decode([example.ids[:first] for example in examples], EXTRACTION.suffix_tokens)
        return np.array([np.array_equal(one.ids[first:last], two) for one, two in zip(examples, spoken, strict=True)])

    ways: dict[str, Callable[[], npt.NDArray[np.bool_]]] = {"plain": plain, "cascade": cascade, "staged": staged}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    try:
        for turn in range(options.rounds + 1):
            verdicts = {}
            for name, run in ways.items():
                began = time.perf_counter()
                verdicts[name] = run()
                if turn:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
            for name, found in verdicts.items():
                assert np.array_equal(found, verdicts["plain"]), f"{name} gives other verdicts than plain decoding"
    finally:
        engine.close()
    print(f"{len(examples)} examples, {verdicts['plain'].mean():.1%} memorized")
    for name, taken in seconds.items():
        ratio = statistics.median(slow / one for slow, one in zip(seconds["plain"], taken, strict=True))
        rate = len(examples) / statistics.median(taken)
        print(f"{name:<8} {rate:7.0f} examples/s   {ratio:5.2f} × plain decoding")


if __name__ == "__main__":
    main()
