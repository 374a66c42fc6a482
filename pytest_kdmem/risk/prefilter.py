"""Training set → a copy without what is at risk, with a manifest of what was left out, why, and by which predictor."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pytest_kdmem.base.files import atomic_folder, write_json, write_table
from pytest_kdmem.corpus.filtered_copy import check_copyable, copy_documents
from pytest_kdmem.corpus.sources import fingerprint, sha256
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.features import STUDY
from pytest_kdmem.risk.pipeline import LabelSource, RiskPipeline, prediction
from pytest_kdmem.risk.predicted import RECALL, PredictedRisk
from pytest_kdmem.risk.predictor import write_predictor
from pytest_kdmem.risk.removal import Dropping, candidates, dropping, rows_within

SCHEMA_VERSION = 1
KIND = "kdmem cleaned training set"
MANIFEST, DROPPED_ROWS, PREDICTOR = "manifest.json", "dropped.parquet", "predictor.json"


@dataclass(frozen=True)
class Budget:
    """How much is left out; at most one is given, and without one 95 % of what is memorized is to be found.

    Args:
        threshold: an example of this risk or more is left out.
        recall: the threshold is that which finds this share of what is memorized.
        at_most: the riskiest examples are left out, with their copies, up to this share of the rows.

    Raises:
        SpecError: two are given, or a share is not between 0 and 1.
    """

    threshold: float | None = None
    recall: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) > 1:
            named = " and ".join(f"--{name.replace('_', '-')}" for name in given)
            raise SpecError(f"One of --threshold, --recall and --at-most was expected; found {named}: keep one.")
        for name, value in given.items():
            if not 0 < value < 1:
                raise SpecError(f"{name.replace('_', '-')} must lie between 0 and 1; found {value:g}.")

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"risk of {self.threshold:g} or more"
        if self.at_most is not None:
            return f"at most {100 * self.at_most:g}% of the rows"
        return f"{100 * (self.recall or RECALL):g}% of what is memorized"


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A cleaned training set: its folder, the data in it, what was left out, and of what."""

    folder: Path
    data: Path
    risk: PredictedRisk
    dropping: Dropping
    rows: int


def prefilter(
    predicting: RiskPipeline,
    learning: LabelSource,
    out: Path,
    *,
    names: tuple[str, ...] = STUDY,
    budget: Budget | None = None,
) -> Cleaned:
    """Predict risks and write what is left of the training set into a new folder, whole or not at all.

    The folder holds the data in the source's own format and name, ``manifest.json``, ``dropped.parquet`` (a row for
    each row left out) and ``predictor.json``, with which the cleaned set can be gated.

    Raises:
        SpecError: the folder is there already, or the source cannot be copied without some of its documents.
        DataError: nothing would be left, or the source was changed meanwhile.
        KdmemError: as `predicting.prediction`.
    """
    budget = budget or Budget()
    training_set = predicting.training_set
    check_copyable(training_set)
    learning.check(predicting.extraction, budget.threshold)
    if (name := Path(training_set.source).expanduser().resolve().name) in (MANIFEST, DROPPED_ROWS, PREDICTOR):
        raise SpecError(f"A training set of another name was expected, as {name} lies beside what is left; rename it.")
    if os.path.lexists(out):
        raise SpecError(f"A folder to be made was expected as --out, and {out} is there already; remove it.")
    before = fingerprint(training_set)
    pair = predicting.pair()
    risk = prediction(
        predicting, pair, learning, names=names, threshold=budget.threshold, recall=budget.recall or RECALL
    ).risk
    rows = pair.teacher.record.examples
    at_most_rows = math.inf if budget.at_most is None else rows_within(budget.at_most, rows)
    chosen = pa.array(candidates(risk, at_most_rows))
    near = predicting.near_duplicates(pair.teacher, frozenset(risk.features.digests.take(chosen).to_pylist()))
    found = dropping(risk, pair.teacher.rows, near, at_most_rows)
    kept = np.ones(rows, dtype=bool)
    kept[found.rows["example_id"].to_numpy()] = False
    source = training_set.source
    if not kept.any():
        raise DataError(
            f"Some examples were expected to stay of {source}, and all are at risk; set a budget (--at-most)."
        )
    with atomic_folder(out, lambda reason: _not_written(out, reason)) as partial:
        data = copy_documents(training_set, partial, kept)
        if fingerprint(training_set) != before:
            raise DataError(f"{source} was changed while it was cleaned; run it again.")
        write_table(found.rows, partial / DROPPED_ROWS)
        write_predictor(risk.predictor, partial / PREDICTOR)
        write_json(
            manifest(source, pair.teacher.record.digest, data, rows, risk, found, str(budget)), partial / MANIFEST
        )
    return Cleaned(out, out / data.name, risk, found, rows)


def _not_written(out: Path, reason: str) -> DataError:
    return DataError(f"A cleaned training set was to be written to {out}, which failed ({reason}).")


def manifest(
    source: str, digest: str, data: Path, rows: int, risk: PredictedRisk, found: Dropping, budget: str
) -> dict[str, Any]:
    """What was left out of which training set, why, and by which predictor; no text of it."""
    predictor = risk.predictor
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("pytest-kdmem"),
        "training_set": {"source": source, "digest": digest, "rows": rows},
        "written": {
            "name": data.name,
            "sha256": sha256(data) if data.is_file() else None,
            "rows": rows - len(found.rows),
        },
        "asked_for": budget,
        "threshold": found.threshold,
        "recall": found.recall,
        "dropped": found.counts(),
        "expected_memorized": risk.expected_memorized.to_json(),
        "predictor": {
            "digest": risk.digest,
            "features": list(predictor.features),
            "labels": predictor.labels,
            "labels_digest": predictor.labels_digest,
            "examples": predictor.examples,
            "positives": predictor.positives,
            "teacher": predictor.source.teacher,
            "baseline": predictor.source.baseline,
            "training_set": predictor.source.training_set,
            "quality": {name: list(figure) for name, figure in predictor.quality.items()},
        },
        "warnings": list(risk.warnings),
    }
