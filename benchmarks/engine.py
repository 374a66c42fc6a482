"""Speed of scoring in one pass, relative to decoding 50 tokens: `python benchmarks/engine.py` (runs in turn)."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(FIXTURES / "models/pythia/teacher"))
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = Model(options.model)
    checkpoint = open_checkpoint(model)
    data = TrainingSet(str(FIXTURES / "corpus/training.jsonl.gz"))
    stream = stream_examples(data, load_tokenizer(checkpoint.folder), EXTRACTION)
    long_enough = (example for example in stream if len(example.ids) >= EXTRACTION.scored_tokens)
    examples = list(islice(long_enough, options.examples))
    engine = TransformersEngine(
        model,
        checkpoint,
        resolve_numerics(model, checkpoint, engine="transformers", device="auto", dtype="auto", metrics="all"),
    )
    prefixes = [example.ids[: EXTRACTION.prefix_tokens] for example in examples]
    methods: dict[str, Callable[[], object]] = {
        "verdict": lambda: engine.score(examples, EXTRACTION, "verdict", lambda done: None),
        "all metrics": lambda: engine.score(examples, EXTRACTION, "all", lambda done: None),
        "decoding": lambda: engine.decode(prefixes, EXTRACTION.suffix_tokens),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for round_number in range(options.rounds + 1):
        for name, run in methods.items():
            start = time.perf_counter()
            run()
            if round_number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    for name, durations in seconds.items():
        ratios = (slow / fast for slow, fast in zip(seconds["decoding"], durations, strict=True))
        ratio, rate = statistics.median(ratios), options.examples / statistics.median(durations)
        print(f"{name:<12} {rate:7.0f} examples/s   {ratio:5.1f} × decoding")


if __name__ == "__main__":
    main()
