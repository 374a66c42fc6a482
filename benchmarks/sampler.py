"""What is extractable under samplers, and what it costs: `python benchmarks/sampler.py [MODEL …]`.

For each model and sampler a line: the share of the examples that the pass leaves open, the (n, p)-extractable rate, and
of some extractable examples the share that real samples contain, beside the one that their probabilities predict. Then
the CPU seconds of the pass over all metrics, and of the run again over all samplers at once. Ends with status 1 if a
share lies further from its prediction than four standard deviations.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.sampled import Extractable
from pytest_kdmem.scoring.chosen_run import examples_at
from pytest_kdmem.scoring.sampled import may_be_extractable, sampled_suffixes
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.sampler import DeployedSampler, Draws, Sampler

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)
SETTINGS = RunSettings(engine="transformers")
SAMPLERS = (Sampler(), Sampler(0.7, 40), Sampler(0.8, 40, 0.95), Sampler(1.0, top_p=0.9))


def draw(folder: Path, examples: list[Example], sampler: Sampler, draws: Draws) -> int:
    """The number of examples whose suffix is among n samples by `generate`."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config = GenerationConfig()  # no token ends a sample
    settings = GenerationConfig(
        do_sample=True,
        temperature=sampler.temperature,
        top_k=sampler.top_k or 0,
        top_p=sampler.top_p or 1.0,
        max_new_tokens=EXTRACTION.suffix_tokens,
        num_return_sequences=draws.n,
    )
    found = 0
    for example in examples:
        ids = torch.from_numpy(example.ids[: EXTRACTION.scored_tokens].astype(np.int64))
        prefix = ids[None, : EXTRACTION.prefix_tokens]
        drawn = model.generate(prefix, attention_mask=torch.ones_like(prefix), generation_config=settings)
        found += bool((drawn == ids).all(dim=1).any())
    return found


def measure(folder: Path, training_set: TrainingSet, draws: Draws, drawn: int) -> bool:
    """Print a model's lines, and return whether every share is as predicted."""
    name, are_as_predicted = "/".join(folder.parts[-2:]), True
    with tempfile.TemporaryDirectory() as cache:
        store, start = ScoreStore(Path(cache)), process_time()
        scores = score(Model(str(folder)), training_set, EXTRACTION, store, settings=SETTINGS)
        passed = process_time()
        rows = sampled_suffixes(scores, SAMPLERS, draws, store, settings=SETTINGS)
        end = process_time()
    for sampler, of_sampler in zip(SAMPLERS, rows, strict=True):
        extractable = Extractable(
            Memorization(folder.name, scores), draws, DeployedSampler(sampler, "benchmark"), of_sampler
        )
        is_open = may_be_extractable(scores, sampler, draws)
        by_position = {row["example_id"]: np.exp(row["logprob"]) for row in of_sampler.to_pylist()}
        positions = extractable.examples[:drawn]
        within_n = np.array([-np.expm1(draws.n * np.log1p(-min(by_position[at], 1 - 1e-16))) for at in positions])
        examples = list(examples_at(scores, set(positions), offline=True).values())
        found = draw(folder, examples, sampler, draws)
        spread = float(np.sqrt((within_n * (1 - within_n)).sum()))
        are_as_predicted &= abs(found - within_n.sum()) <= 4 * spread + 1e-6
        print(
            f"{name:<18} {draws} {sampler}: open {is_open.mean():.1%}, extractable {extractable.rate.value:.2%}"
            f" (ambiguous {extractable.rate.ambiguous}); of {len(positions)} drawn {found}, predicted"
            f" {within_n.sum():.2f} ± {spread:.2f}",
            flush=True,
        )
    print(
        f"{name:<18} memorized {Memorization(folder.name, scores).rate.value:.2%}; CPU seconds: pass"
        f" {passed - start:.1f}, {len(SAMPLERS)} samplers {end - passed:.1f}, which loads the model again, over"
        f" {len(rows[0]) / len(scores.rows):.1%} of the examples",
        flush=True,
    )
    return are_as_predicted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--text", default=str(FIXTURES / "corpus/training.jsonl.gz"), help="The training set.")
    parser.add_argument("--sample", type=int, help="Number of examples; all if not given.")
    parser.add_argument("--draws", type=int, default=100, help="Number of samples of an example.")
    parser.add_argument("--probability", type=float, default=0.5)
    parser.add_argument("--drawn", type=int, default=10, help="Extractable examples that are sampled for each sampler.")
    options = parser.parse_args()
    torch.manual_seed(0)
    folders = options.models or sorted(path.parent for path in FIXTURES.glob("models/*/*/config.json"))
    training_set = TrainingSet(options.text, sample=options.sample)
    draws = Draws(options.draws, options.probability)
    outcomes = [measure(folder, training_set, draws, options.drawn) for folder in folders]
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
