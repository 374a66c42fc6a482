"""Near-verbatim verdicts by early decoding, beside decoding all: `python benchmarks/near_verbatim.py [MODEL …]`.

A line for each model: rates, the CPU seconds of the pass, of the run after it, and of decoding all by `generate` with
distances by rapidfuzz. Without arguments, over all shipped models. Ends with status 1 if a verdict that is not
ambiguous differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import process_time

import numpy as np
from rapidfuzz.distance import Levenshtein

from pytest_kdmem.engines.load import ModelToLoad, open_decider
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.metrics.specific import Specific
from pytest_kdmem.scoring.beside import job_beside
from pytest_kdmem.scoring.confirm import Expected, read_examples
from pytest_kdmem.scoring.near_verbatim import near_verbatim
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.scoring.without_prefix import suffixes_alone
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)
SETTINGS = RunSettings(engine="transformers")


def decoded_to_the_end(scores: ScoreTable, nearness: Nearness) -> tuple[list[bool], float]:
    """Whether each scored row is near by decoding all of its suffix, and the CPU seconds to load and decode."""
    scored = [row for row in scores.rows.to_pylist() if row["status"] == "scored"]
    rows = [Expected(row["example_id"], row["digest"], False, False, None) for row in scored]
    examples = read_examples(scores, rows, offline=True)
    job = job_beside(scores, SETTINGS)
    start = process_time()
    with closing(open_decider(ModelToLoad(job.model, job.checkpoint, job.numerics), job.settings)) as engine:
        engine.batches.size = max(engine.batches.size, 32)  # as large as those of the run that stops early
        said = engine.decode([example.ids[: example.start(EXTRACTION)] for example in examples], 50)
    seconds = process_time() - start
    suffixes = [example.ids[example.start(EXTRACTION) : example.end(EXTRACTION)] for example in examples]
    distances = [Levenshtein.normalized_distance(*map(list, pair)) for pair in zip(said, suffixes, strict=True)]
    return [distance <= nearness.delta for distance in distances], seconds


def compare(folder: Path, training_set: TrainingSet, nearness: Nearness) -> bool:
    """Print a model's line, and return whether both ways have the same verdicts."""
    with tempfile.TemporaryDirectory() as cache:
        store, start = ScoreStore(Path(cache)), process_time()
        scores = score(Model(str(folder)), training_set, EXTRACTION, store, settings=SETTINGS, metrics="verdict")
        passed = process_time()
        rows = near_verbatim(scores, nearness, store, settings=SETTINGS)
        decoded = process_time()
        alone = suffixes_alone(scores, store, settings=SETTINGS)
        end = process_time()
    expected, seconds = decoded_to_the_end(scores, nearness)
    memorization = Memorization(folder.name, scores)
    near, specific = NearVerbatim(memorization, rows, nearness), Specific(memorization, alone)
    is_sure = ~rows["ambiguous"].drop_null().to_numpy()
    are_equal = bool((rows["near"].drop_null().to_numpy() == np.array(expected))[is_sure].all())
    print(
        f"{'/'.join(folder.parts[-2:]):<20} exact {memorization.rate.value:.2%}, near {near.rate.value:.2%}, ambiguous"
        f" {int((~is_sure).sum())}, specific {specific.rate.value:.2%} ({specific.undrawn} undrawn); pass"
        f" {passed - start:.1f} s, near {decoded - passed:.1f} s, without prefixes {end - decoded:.1f} s; decoding all"
        f" {seconds:.1f} s ({seconds / (decoded - passed):.1f} ×); verdicts {'equal' if are_equal else 'DIFFER'}",
        flush=True,
    )
    return are_equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--text", default=str(FIXTURES / "corpus/training.jsonl.gz"), help="The training set.")
    parser.add_argument("--sample", type=int, help="Number of examples; all if not given.")
    parser.add_argument("--delta", type=float, default=0.1)
    options = parser.parse_args()
    folders = options.models or sorted(path.parent for path in FIXTURES.glob("models/*/*/config.json"))
    training_set = TrainingSet(options.text, sample=options.sample)
    nearness = Nearness(options.delta)
    all_equal = [compare(folder, training_set, nearness) for folder in folders]
    sys.exit(0 if all(all_equal) else 1)


if __name__ == "__main__":
    main()
