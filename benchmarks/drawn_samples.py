"""Reading of a large set for a sample, for three models of one tokenizer: `python benchmarks/drawn_samples.py`.

The second and third model take what was drawn for the first; with `--apart`, each reads the set anew, as processes
of their own do.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from pytest_kdmem.scoring.drawn_sets import DRAWN_SETS
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODELS = ("teacher", "base-small", "student")
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="Rows of the training set.")
    parser.add_argument("--sample", type=int, default=300, help="Distinct examples to score.")
    parser.add_argument("--apart", action="store_true", help="Each model reads the set anew.")
    options = parser.parse_args()
    settings = RunSettings(device="cpu", accept_reading="noise")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        write_rows(path, options.rows)
        training_set = TrainingSet(str(path), sample=options.sample)
        digests = set()
        for name in MODELS:
            if options.apart:
                DRAWN_SETS.forget()
            model, store = Model(str(FIXTURES / "models/pythia" / name)), ScoreStore(Path(folder) / "store")
            wall, cpu = time.perf_counter(), time.process_time()
            table = score(model, training_set, EXTRACTION, store, settings=settings, metrics="verdict")
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            digests.add(table.record.digest)
            print(f"{name:<10} {table.scored_now} of {table.record.examples} examples: {wall:.1f} s, CPU {cpu:.1f} s")
        print(f"examples {'equal' if len(digests) == 1 else 'DIFFER'}")


def write_rows(path: Path, count: int) -> None:
    """Write the shipped corpus again and again, each time with a number before each text."""
    with gzip.open(FIXTURES / "corpus/training.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(islice(cycle(texts), count)):
            file.write(json.dumps({"text": f"{number} {text}"}) + "\n")


if __name__ == "__main__":
    main()
