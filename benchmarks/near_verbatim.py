"""Near-verbatim verdicts by early decoding, beside decoding all: `python benchmarks/near_verbatim.py [MODEL …]`.

A line for each model: rates, and the CPU seconds of its verdicts, of early decoding, and of decoding all by `generate`,
by one loaded model in batches of one size; distances are rapidfuzz's. Without arguments, over all shipped models. Ends
with status 1 if a verdict that is not ambiguous differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import process_time

import numpy as np
import pyarrow.compute as pc
from rapidfuzz.distance import Levenshtein

from pytest_kdmem.engines.load import ModelToLoad, open_decider
from pytest_kdmem.engines.protocol import ignore_progress
from pytest_kdmem.engines.transformers.near_decoding import near_verdicts
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.specific import Specific
from pytest_kdmem.scoring.beside import job_beside
from pytest_kdmem.scoring.check_sample import Expected
from pytest_kdmem.scoring.read_examples import read_examples
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.without_prefix import suffixes_alone
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)
SETTINGS = RunSettings(engine="transformers")


def compare(folder: Path, training_set: TrainingSet, nearness: Nearness) -> bool:
    """Print a model's line, and return whether both ways have the same verdicts."""
    with tempfile.TemporaryDirectory() as cache:
        store = ScoreStore(Path(cache))
        scores = score(Model(str(folder)), training_set, EXTRACTION, store, settings=SETTINGS, metrics="verdict")
        specific = Specific(Memorization(folder.name, scores), suffixes_alone(scores, store, settings=SETTINGS))
    rows = scores.rows.filter(pc.equal(scores.rows["status"], "scored")).to_pylist()
    examples = read_examples(
        scores, [Expected(row["example_id"], row["digest"], False, False, None) for row in rows], offline=True
    )
    exact = np.array([row["memorized"] for row in rows])
    hits = np.array([row["first_miss"] for row in rows], dtype=np.int32)
    job = job_beside(scores, SETTINGS)
    with closing(open_decider(ModelToLoad(job.model, job.checkpoint, job.numerics), job.settings)) as engine:
        start = process_time()
        engine.score(examples, EXTRACTION, "verdict", ignore_progress)
        passed = process_time()
        left = np.flatnonzero(~exact)
        verdicts = near_verdicts(
            engine, [examples[row] for row in left], hits[left], EXTRACTION, nearness, ignore_progress
        )
        near_by = process_time()
        engine.batches.size = max(engine.batches.size, 32)  # as many as are decoded at once above
        continuations = engine.decode([example.ids[: example.start(EXTRACTION)] for example in examples], 50)
        end = process_time()
    suffixes = [example.ids[example.start(EXTRACTION) : example.end(EXTRACTION)] for example in examples]
    pairs = zip(continuations, suffixes, strict=True)
    distances = [Levenshtein.normalized_distance(*map(list, pair)) for pair in pairs]
    expected = np.array(distances) <= nearness.delta
    near = exact.copy()
    near[left] = verdicts.near
    are_equal = bool((near == expected)[left][~verdicts.ambiguous].all() and expected[exact].all())
    print(
        f"{'/'.join(folder.parts[-2:]):<18} exact {exact.mean():.2%}, near {near.mean():.2%}, ambiguous"
        f" {int(verdicts.ambiguous.sum())}, common of recited {specific.common_share.value:.2%}; CPU seconds: pass"
        f" {passed - start:.1f}, near {near_by - passed:.1f}, decoding all {end - near_by:.1f}"
        f" ({(end - near_by) / (near_by - passed):.1f} ×); verdicts {'equal' if are_equal else 'DIFFER'}",
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
