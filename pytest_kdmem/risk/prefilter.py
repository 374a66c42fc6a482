"""Write a copy of a training set without the examples at risk, with a manifest of what was removed and why."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from pytest_kdmem.base.digests import file_digest
from pytest_kdmem.base.files import atomic_folder, write_json, write_table
from pytest_kdmem.base.text import count, size
from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.cleaned import KIND, MANIFEST_FILE
from pytest_kdmem.corpus.filtered_copy import check_copyable, copy_documents
from pytest_kdmem.corpus.megatron import index_path
from pytest_kdmem.corpus.sources import fingerprint, training_fingerprint
from pytest_kdmem.errors import DataError, DryRun, SpecError
from pytest_kdmem.risk.budget import Budget
from pytest_kdmem.risk.features import STUDY_FEATURES
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.risk.predictor_file import write_predictor
from pytest_kdmem.risk.removal import Removal, plan_removal, removal_candidates
from pytest_kdmem.risk.short_copies import Repeated, find_repeated, find_short_copies
from pytest_kdmem.specs.declared import TrainingSet

SCHEMA_VERSION = 1
REMOVED_ROWS_FILE, PREDICTOR_FILE = "dropped.parquet", "predictor.json"


@dataclass(frozen=True, eq=False)
class CleanedSet:
    """A cleaned copy of a training set.

    Attributes:
        folder: Folder of the copy.
        data: Path of the data in it.
        risk: Predicted risk of the original training set.
        removal: The removed rows.
        rows: Number of rows of the original training set.
        repeated: What stands several times in the copy.
    """

    folder: Path
    data: Path
    risk: PredictedRisk
    removal: Removal
    rows: int
    repeated: Repeated


def prefilter(
    pipeline: RiskPipeline,
    label_source: LabelSource,
    out: Path,
    *,
    feature_names: tuple[str, ...] = STUDY_FEATURES,
    budget: Budget | None = None,
    report: Callable[[str], None] = lambda _line: None,
) -> CleanedSet:
    """Predict the risk of a training set and write it without what is at risk, whole or not at all.

    A conversation of which any answer is at risk is removed as a whole. What is too short to have a risk, and stands
    several times, is kept once. The new folder holds the data in the source's
    own format and name, ``manifest.json``, ``dropped.parquet`` (one row for each removed example) and
    ``predictor.json``, with which the cleaned set can be gated. ``report`` is called with a line that counts what is
    kept before anything is written.

    Raises:
        SpecError: The folder exists, or the source cannot be copied without some of its documents.
        DataError: Nothing would be left, or the source changed while it was read.
        KdmemError: As `RiskPipeline.predict`.
    """
    budget = budget or Budget()
    training_set = pipeline.training_set
    _check(pipeline, label_source, out)
    before = fingerprint(training_set)
    pair = pipeline.score_pair()
    risk = pipeline.predict(pair, label_source, feature_names=feature_names, cutoff=budget.cutoff).risk
    rows = pair.teacher.record.examples
    max_rows = budget.max_rows(rows)
    candidates = risk.features.digests.take(pa.array(removal_candidates(risk, max_rows)))
    near_duplicates = pipeline.near_duplicates(pair.teacher, frozenset(candidates.to_pylist()))
    all_rows, documents = pair.teacher.rows, pipeline.documents_of(pair.teacher)
    removal = plan_removal(risk, all_rows, near_duplicates, max_rows, find_short_copies(all_rows, documents))
    kept = np.ones(int(documents[-1]) + 1, dtype=bool)  # every conversation holds an answer
    kept[documents[removal.rows["example_id"].to_numpy()]] = False
    if not kept.any():
        raise DataError(
            f"Some examples were expected to stay of {training_set.source}, and all are at risk; set a budget"
            " (--at-most)."
        )
    report(f"writing {count(int(kept.sum()))} of {count(len(kept))} documents of {training_set.name} to {out}")
    with atomic_folder(out, lambda reason: _write_error(out, reason)) as partial:
        data = copy_documents(training_set, partial, kept)
        if fingerprint(training_set) != before:
            raise DataError(f"{training_set.source} was changed while it was cleaned; run the command again.")
        write_table(removal.rows, partial / REMOVED_ROWS_FILE)
        write_predictor(risk.predictor, partial / PREDICTOR_FILE)
        repeated = find_repeated(all_rows.filter(pa.array(kept[documents])))
        partial_copy = CleanedSet(partial, data, risk, removal, rows, repeated)
        write_json(_manifest(training_set, partial_copy, budget), partial / MANIFEST_FILE)
    return CleanedSet(out, out / data.name, risk, removal, rows, repeated)


def end_prefilter_dry_run(pipeline: RiskPipeline, label_source: LabelSource, out: Path) -> NoReturn:
    """Check a cleaning as `prefilter` does, measure what it would score, and write nothing.

    Raises:
        DryRun: Always, with a forecast of each model that is scored, and of what is written then.
        SpecError, DataError: As `prefilter`.
    """
    _check(pipeline, label_source, out)
    try:
        pipeline.end_dry_run(label_source)
    except DryRun as dry_run:
        raise DryRun([*dry_run.forecasts, CopyForecast(pipeline.training_set, out)]) from None


@dataclass(frozen=True)
class CopyForecast:
    """What is written once everything is scored.

    Attributes:
        training_set: The set that is cleaned.
        out: The folder of the copy.
    """

    training_set: TrainingSet
    out: Path

    @property
    def lines(self) -> tuple[str, ...]:
        """The forecast in lines for people."""
        path = Path(self.training_set.source).expanduser()
        files = [path, index_path(path)] if path.is_file() else list(path.rglob("*"))
        most = sum(file.stat().st_size for file in files if file.is_file())
        return (
            f"then a copy of {self.training_set.name} in {self.out}, of at most {size(most)}, with its manifest",
            "  how many rows are left out shows once both models are scored",
        )


def _check(pipeline: RiskPipeline, label_source: LabelSource, out: Path) -> None:
    """Refuse, before anything is scored, what cannot be cleaned, or written to ``out``."""
    check_copyable(pipeline.training_set)
    label_source.check(pipeline.training_set.lengths(pipeline.extraction))
    _check_names(pipeline.training_set, out)


def _write_error(out: Path, reason: str) -> DataError:
    return DataError(f"A cleaned training set was to be written to {out}, which failed ({reason}).")


def _check_names(training_set: TrainingSet, out: Path) -> None:
    """Raise SpecError if the folder exists or the training set has the name of a file that is written beside it."""
    name = Path(training_set.source).expanduser().resolve().name
    if name in (MANIFEST_FILE, REMOVED_ROWS_FILE, PREDICTOR_FILE):
        raise SpecError(
            f"A training set of another name was expected, as {name} is written beside the cleaned data; rename it."
        )
    if os.path.lexists(out):
        raise SpecError(f"A new folder was expected as --out, and {out} exists; choose another one, or remove it.")


def _manifest(training_set: TrainingSet, cleaned: CleanedSet, budget: Budget) -> dict[str, Any]:
    """Return what was removed from which training set, why, and by which predictor, without any text of it."""
    risk, removal, data = cleaned.risk, cleaned.removal, cleaned.data
    predictor = risk.predictor
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": installed_version("pytest-kdmem"),
        "training_set": {
            "source": training_set.source,
            "digest": risk.features.source.training_set,
            "fingerprint": training_fingerprint(training_set),
            "rows": cleaned.rows,
        },
        "written": {
            "name": data.name,
            "fingerprint": training_fingerprint(replace(training_set, source=str(data))),
            "sha256": file_digest(data) if data.is_file() else None,
            **({"index_sha256": file_digest(index)} if (index := index_path(data)).is_file() else {}),
            "rows": cleaned.rows - len(removal.rows),
        },
        "asked_for": str(budget),
        "threshold": removal.threshold,
        "recall": removal.recall,
        "dropped": removal.counts(),
        "repeated": asdict(cleaned.repeated),
        "expected_memorized": risk.expected_memorized.to_json(),
        "predictor": {
            "digest": risk.predictor_digest,
            "features": list(predictor.features),
            "labels": predictor.labels,
            "labels_digest": predictor.labels_digest,
            "examples": predictor.examples,
            "positives": predictor.positives,
            "teacher": predictor.source.teacher,
            "baseline": predictor.source.baseline,
            "training_set": predictor.source.training_set,
            "quality": {name: list(statistic) for name, statistic in predictor.quality.items()},
        },
        "warnings": list(risk.warnings),
    }
