"""Time and size of every report of an audit of a million examples, rendered from the saved JSON report.

    python benchmarks/reports.py --rows 1000000

Scores are random: one example in twenty is recited by a model, more than any model of the study recites.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.auditing.report import Report, read_report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.summarize import data_entry, inheritance_entry, model_entry, risk_entry
from pytest_kdmem.auditing.summarize_examples import distributions_entry, examples_entry
from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.metrics.estimate import Comparison
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.report.formats import FORMATS, write_report
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.labels import labels_from_both_models
from pytest_kdmem.risk.predicted import apply_predictor
from pytest_kdmem.scoring.table import KL_SCHEMA, SCHEMA, PairTable, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

RATES = {"teacher": 0.05, "baseline": 0.03, "student": 0.01}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="Folder to keep the reports in.")
    arguments = parser.parse_args()
    start = time.perf_counter()
    report = Report((make_result(arguments.rows),))
    print(f"{arguments.rows} examples: summarized in {time.perf_counter() - start:.1f} s")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        write_report(report, folder / "audit.json")
        print(f"{'':<6}{'s':>8}{'MB':>8}   (reading the JSON is in each)")
        for ending in FORMATS:
            start = time.perf_counter()
            write_report(read_report(folder / "audit.json"), folder / f"again{ending}")
            size = (folder / f"again{ending}").stat().st_size / 1e6
            print(f"{ending:<6}{time.perf_counter() - start:>8.1f}{size:>8.2f}")


def make_result(rows: int) -> AuditResult:
    """Result of an audit of three models, with gates that pass and gates that fail."""
    rng = np.random.default_rng(0)
    difficulty = rng.random(rows)  # what a model recites, larger models mostly recite, too
    memorizations = {role: Memorization(role, scores(role, difficulty < rate, rng)) for role, rate in RATES.items()}
    teacher, baseline = (memorizations[role].scores for role in ("teacher", "baseline"))
    kl = pa.table(
        {"example_id": np.arange(rows), "digest": teacher.rows["digest"], "kl": difficulty.astype(np.float32)}
    )
    features = extract_features(PairTable(teacher, baseline, kl.cast(KL_SCHEMA)))
    risk = apply_predictor(features, fit_predictor(features, labels_from_both_models(features)).predictor)
    inherited = compute_inheritance(**memorizations)
    gates = []
    for estimate, threshold in (
        (memorizations["student"].rate, 0.001),
        (inherited.ratio, 0.5),
        (risk.share_at_risk, 0.005),
    ):
        name, path = f"test_{estimate.metric.replace(' ', '_')}", "audits/test_release.py"
        gates.append(replace(gate_from(name, f"{path}::{name}", Comparison(estimate, "<=", threshold)), path=path))
    return AuditResult(
        created="2026-01-01T00:00:00+00:00",
        versions={"pytest-kdmem": "0.1.0"},
        settings={"prefix_tokens": 50, "suffix_tokens": 50, "window_tokens": 256, "confidence": 0.95},
        models={role: model_entry(memorization.scores, None) for role, memorization in memorizations.items()},
        training_set=data_entry(memorizations["student"]),
        memorization={role: memorization.rate for role, memorization in memorizations.items()},
        memorized_examples={role: tuple(memorization.examples) for role, memorization in memorizations.items()},
        ambiguous_examples={
            role: tuple(memorization.ambiguous_examples) for role, memorization in memorizations.items()
        },
        inheritance=inheritance_entry(inherited),
        risk=risk_entry(risk),
        examples=examples_entry(memorizations, risk),
        distributions=distributions_entry(memorizations),
        gates=tuple(gates),
    )


def scores(role: str, memorized: np.ndarray, rng: np.random.Generator) -> ScoreTable:
    """Random scores of one model."""
    rows = len(memorized)
    nll = np.where(memorized, rng.gamma(2, 0.2, rows), rng.normal(3, 0.6, rows)).astype(np.float32)
    margin = np.where(memorized, rng.gamma(2, 1, rows), -rng.gamma(3, 1.5, rows)).astype(np.float32)
    columns = {
        "example_id": np.arange(rows),
        "digest": [f"{index:032x}" for index in range(rows)],
        "status": np.full(rows, "scored"),
        "memorized": memorized,
        "ambiguous": np.abs(margin) < 1e-4,
        "margin": margin,
        "logprob": (-50 * nll).astype(np.float32),
        "nll": nll,
        "entropy": nll,
        "first_miss": np.where(memorized, -1, 3).astype(np.int16),
        "zlib_bytes": rng.normal(500, 80, rows).astype(np.int32),
    }
    checkpoint = Checkpoint(Path(), role, "tokenizer", "text", 1_400_000_000, 50_304, None, "float32", "GPTNeoX")
    return ScoreTable(
        Model(f"runs/{role}"),
        checkpoint,
        TrainingSet("data/train.jsonl"),
        CorpusRecord(rows, 0, True, ("shard",)),
        Numerics("transformers", "cpu", "float32", "1", "1"),
        Extraction(),
        pa.table(columns, schema=SCHEMA),
        1e-4,
        0,
    )


if __name__ == "__main__":
    main()
