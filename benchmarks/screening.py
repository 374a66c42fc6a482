"""Verdicts of a run in two dtypes beside those of float32: `python benchmarks/screening.py [MODEL …]`.

A line for each model; without arguments, over all shipped models. Ends with status 1 if a verdict differs. The dtype of
the screening is forced, so that it runs on a machine that gains nothing by it as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


def timed_scores(
    folder: Path, training_set: TrainingSet, metrics: Metrics, screen_dtype: str
) -> tuple[ScoreTable, float]:
    """Scores with nothing in the store, and the seconds that they took."""
    with tempfile.TemporaryDirectory() as cache:
        start = perf_counter()
        table = score(
            Model(str(folder)),
            training_set,
            EXTRACTION,
            ScoreStore(Path(cache)),
            settings=RunSettings(screen_dtype=screen_dtype),
            metrics=metrics,
        )
        return table, perf_counter() - start


def compare(folder: Path, training_set: TrainingSet, metrics: Metrics, screen_dtype: str) -> bool:
    """Print a model's line, and return whether both runs have the same verdicts."""
    in_two, seconds_in_two = timed_scores(folder, training_set, metrics, screen_dtype)
    in_one, seconds_in_one = timed_scores(folder, training_set, metrics, "none")
    are_equal: bool = in_two.rows["memorized"].equals(in_one.rows["memorized"])
    counts = in_two.screening
    assert counts is not None
    print(
        f"{'/'.join(folder.parts[-2:]):<20} {metrics:<7} {counts.screened:>5} screened {counts.decided:>4} decided"
        f" ({counts.decided / max(1, counts.screened):.1%}) {counts.changed} changed  band {counts.band:.2f}, widened"
        f" {counts.widened} ×  {seconds_in_two / seconds_in_one:.2f} × the time  verdicts"
        f" {'equal' if are_equal else 'DIFFER'}",
        flush=True,
    )
    return are_equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--text", default=str(FIXTURES / "corpus/training.jsonl.gz"), help="The training set.")
    parser.add_argument("--sample", type=int, help="Number of examples; all if not given.")
    parser.add_argument("--screen-dtype", default="bfloat16", choices=["bfloat16", "float16"])
    parser.add_argument("--metrics", default="verdict", choices=["verdict", "all"])
    options = parser.parse_args()
    folders = options.models or sorted(path.parent for path in FIXTURES.glob("models/*/*/config.json"))
    training_set = TrainingSet(options.text, sample=options.sample)
    all_equal = [compare(folder, training_set, options.metrics, options.screen_dtype) for folder in folders]
    sys.exit(0 if all(all_equal) else 1)


if __name__ == "__main__":
    main()
