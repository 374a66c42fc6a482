"""Time and memory of predicted risk: features, fitting and prediction over a million rows, and a prefilter of 2 GB.

    python benchmarks/risk.py features --rows 1000000
    python benchmarks/risk.py prefilter --gigabytes 2

Rows are random and models untrained, because the time does not depend on what a model recites.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.distill.architectures import write_untrained
from pytest_kdmem.distill.shapes import Size
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.risk.budget import Budget
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.labels import labels_from_both_models
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.predicted import apply_predictor
from pytest_kdmem.risk.prefilter import CleanedSet, prefilter
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import KL_SCHEMA, SCHEMA, PairTable, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

SHIPPED = Path(__file__).parents[1] / "fixtures/models/pythia/base-small"
BASE_RATE = 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("features", "prefilter"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument(
        "--characters", type=int, default=20_000, help="Characters of each document that is prefiltered."
    )
    arguments = parser.parse_args()
    if arguments.what == "features":
        features(arguments.rows)
    else:
        clean(arguments.gigabytes, arguments.characters)


def features(rows: int) -> None:
    """Time all that lies between stored scores and the figures of a gate."""
    pair = random_pair(rows)
    held = peak_megabytes()
    start = time.perf_counter()
    feature_table = extract_features(pair)
    at_features = time.perf_counter()
    fitted = fit_predictor(feature_table, labels_from_both_models(feature_table))
    at_fit = time.perf_counter()
    risk = apply_predictor(feature_table, fitted.predictor)
    end = time.perf_counter()
    print(f"{rows} rows: features {at_features - start:.1f} s, trials and fit {at_fit - at_features:.1f} s,", end=" ")
    print(f"prediction {end - at_fit:.1f} s, in all {end - start:.1f} s; {risk.share_at_risk}")
    print(f"peak memory {peak_megabytes():.0f} MB, {held:.0f} MB of it before (the drawn rows and all imports)")


def random_pair(rows: int) -> PairTable:
    """Random scores of two models; both recite one example in a thousand."""
    rng = np.random.default_rng(0)
    memorized = rng.random(rows) < BASE_RATE
    digests = [f"{at:032x}" for at in range(rows)]

    def table(shift: float) -> pa.Table:
        nll = np.where(memorized, rng.gamma(2, 0.2, rows), rng.normal(3 + shift, 0.6, rows)).astype(np.float32)
        columns = {
            "example_id": np.arange(rows),
            "digest": digests,
            "status": np.full(rows, "scored"),
            "memorized": memorized,
            "ambiguous": np.zeros(rows, bool),
            "margin": rng.normal(0, 1, rows).astype(np.float32),
            "logprob": (-50 * nll).astype(np.float32),
            "nll": nll,
            "entropy": nll,
            "first_miss": np.where(memorized, -1, 3).astype(np.int16),
            "zlib_bytes": rng.normal(500, 80, rows).astype(np.int32),
        }
        return pa.table(columns, schema=SCHEMA)

    def scores(digest: str, shift: float) -> ScoreTable:
        checkpoint = Checkpoint(Path(), digest, "tokenizer", "text", 1, 2048, None, "float32", "GPTNeoX")
        record = CorpusRecord(rows, 0, True, ("shard",))
        numerics = Numerics("transformers", "cpu", "float32", "1", "1")
        source = TrainingSet("drawn.jsonl")
        return ScoreTable(Model(digest), checkpoint, source, record, numerics, Extraction(), table(shift), 1e-4, 0)

    kl = np.where(memorized, rng.gamma(2, 0.02, rows), rng.gamma(4, 0.1, rows)).astype(np.float32)
    divergence = pa.table({"example_id": np.arange(rows), "digest": digests, "kl": kl}, schema=KL_SCHEMA)
    return PairTable(scores("teacher", 0.0), scores("baseline", 0.2), divergence)


def clean(gigabytes: float, characters: int) -> None:
    """Score a .jsonl file of this size by two small untrained models, and clean it by random labels."""
    extraction = Extraction(50, 50, 100)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        documents = write_text(folder / "train.jsonl", gigabytes, characters)
        teacher, baseline = (Model(str(untrained(folder / f"model{seed}", seed))) for seed in (0, 1))
        data, store = TrainingSet(str(folder / "train.jsonl")), ScoreStore(folder / "store")
        pipeline = RiskPipeline(teacher, baseline, data, extraction, store, RunSettings())
        start = time.perf_counter()
        pair = pipeline.score_pair()
        scored = time.perf_counter()
        memorized = np.random.default_rng(0).random(documents) < BASE_RATE
        rows = pair.teacher.rows.drop_columns(["memorized"]).append_column("memorized", pa.array(memorized))
        pq.write_table(rows, folder / "labels.parquet")
        del pair, rows
        held = peak_megabytes()
        label_source, budget = LabelSource(folder / "labels.parquet"), Budget(at_most=0.005)
        cleaned = prefilter(pipeline, label_source, folder / "cleaned", budget=budget)
        end = time.perf_counter()
        size = (folder / "train.jsonl").stat().st_size / 1e9
        print(
            f"{size:.2f} GB, {documents} documents: scored in {scored - start:.0f} s, cleaned in {end - scored:.0f} s"
        )
        is_intact = is_source_without_dropped(folder / "train.jsonl", cleaned)
        print(f"{len(cleaned.removal.rows)} rows left out; what is left is in order and byte for byte: {is_intact}")
        print(f"peak memory {peak_megabytes():.0f} MB, {held:.0f} MB of it by scoring")


def write_text(path: Path, gigabytes: float, characters: int) -> int:
    """Write documents of random words, and return their number."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(5000)])
    documents = int(gigabytes * 1e9 / characters)
    with path.open("w", encoding="utf-8") as file:
        for at in range(documents):
            drawn = " ".join(words[rng.integers(0, len(words), characters // 6)])[: characters - 30]
            file.write(json.dumps({"id": at, "text": drawn}) + "\n")
    return documents


def untrained(folder: Path, seed: int) -> Path:
    """A model of one small layer with the shipped models' tokenizer."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(SHIPPED))
    write_untrained("pythia", Size(1, 16, 2), tokenizer, folder, positions=128, seed=seed)
    return folder


def is_source_without_dropped(source: Path, cleaned: CleanedSet) -> bool:
    """Whether the cleaned file is the source without the rows that were left out, byte for byte."""
    dropped = set(cleaned.removal.rows["example_id"].to_pylist())
    with source.open("rb") as whole, cleaned.data.open("rb") as left:
        return all(line == next(left) for at, line in enumerate(whole) if at not in dropped) and not left.read(1)


def peak_megabytes() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
