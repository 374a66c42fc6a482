"""Studies written by hand: the documents that each model memorized are given, and nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.risk.removal import REMOVED_SCHEMA
from pytest_kdmem.scoring.table import KL_SCHEMA, SCHEMA, PairTable, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.study.findings.figures import Row, Share
from pytest_kdmem.study.record import ModelRun, Study

LOSSES = {"teacher": 2.0, "baseline": 2.5, "soft": 2.4, "hard": 2.6}
# What a score table holds of a document if the test gives nothing else.
DEFAULTS = {"margin": -1.0, "logprob": -50.0, "nll": 3.0, "entropy": 2.0, "zlib_bytes": 100}
ByDocument = Mapping[int, float]


class ByHand:
    """Makes models that were all scored over one training set.

    Args:
        rows: The document of each row of the training set; a document may stand there several times.
        too_short: Documents that are too short to be scored.
    """

    def __init__(self, rows: Iterable[int], *, too_short: Iterable[int] = ()) -> None:
        self.rows = tuple(rows)
        self.too_short = frozenset(too_short)

    def scores(
        self, memorized: Iterable[int], ambiguous: Iterable[int] = (), columns: Mapping[str, ByDocument] | None = None
    ) -> pa.Table:
        """A score table; columns give values by document."""
        memorized, ambiguous = set(memorized), set(ambiguous)

        def row(example_id: int, document: int) -> dict[str, object]:
            identity = {"example_id": example_id, "digest": f"{document:08x}"}
            if document in self.too_short:
                return identity | dict.fromkeys(SCHEMA.names[2:]) | {"status": "too_short"}
            verdict = {"memorized": document in memorized, "ambiguous": document in ambiguous, "first_miss": -1}
            values = {name: (columns or {}).get(name, {}).get(document, value) for name, value in DEFAULTS.items()}
            return identity | {"status": "scored"} | verdict | values

        return pa.Table.from_pylist([row(*numbered) for numbered in enumerate(self.rows)], schema=SCHEMA)

    def model(
        self,
        role: str,
        memorized: Iterable[int] = (),
        *,
        ambiguous: Iterable[int] = (),
        loss: float | None = None,
        **changed: Any,
    ) -> ModelRun:
        """A model of the main part, with seed 0 and usual values.

        The keyword arguments change columns of its scores, given by document, and fields of the run.
        """
        columns = {name: value for name, value in changed.items() if name in DEFAULTS}
        run = ModelRun(
            part="main",
            family="pythia",
            dataset="fineweb",
            role=role,  # type: ignore[arg-type]
            size="large" if role == "teacher" else "small",
            seed=0,
            temperature=2.0 if role == "soft" else None,
            parameters=12 if role == "teacher" else 2,
            seconds=1.0,
            held_out_loss=LOSSES[role] if loss is None else loss,
            scores=self.scores(memorized, ambiguous, columns),
        )
        return replace(run, **{name: value for name, value in changed.items() if name not in DEFAULTS})

    def paired(self, teacher: ModelRun, baseline: ModelRun, kl: ByDocument) -> ModelRun:
        """The baseline with the scores of both models, and their divergence by document."""

        def score_table(run: ModelRun) -> ScoreTable:
            checkpoint = Checkpoint(Path(), run.role, "tokenizer", "text", 1, 300, None, "float32", "GPTNeoX")
            record = CorpusRecord(len(self.rows), len(self.too_short), True, ("shard",))
            numerics = Numerics("transformers", "cpu", "float32", "2.0", "5.0")
            source = TrainingSet("training.jsonl")
            return ScoreTable(Model(run.role), checkpoint, source, record, numerics, Extraction(), run.scores, 1e-3, 0)

        values = [None if document in self.too_short else kl[document] for document in self.rows]
        ids, digests = (baseline.scores[name] for name in ("example_id", "digest"))
        divergence = pa.table([ids, digests, pa.array(values, pa.float32())], schema=KL_SCHEMA)
        return replace(baseline, pair=PairTable(score_table(teacher), score_table(baseline), divergence))

    def cleaned(self, student: ModelRun, left_out: Iterable[int]) -> ModelRun:
        """The student as one that was distilled without any copy of these documents."""
        left_out = set(left_out)
        rows = [
            {"example_id": row, "digest": f"{document:08x}", "reason": "at risk", "risk": 0.9, "of": f"{document:08x}"}
            for row, document in enumerate(self.rows)
            if document in left_out
        ]
        return replace(student, part="prefilter", left_out=pa.Table.from_pylist(rows, schema=REMOVED_SCHEMA))

    def study(self, *runs: ModelRun) -> Study:
        return Study("by hand", {"seeds": [0, 1, 2]}, runs, {run.dataset: self.rows for run in runs})


class WholeStudy:
    """Makes a study with every part, over 300 documents: 0–19 stand in D eight times and 20–39 twice.

    T = 0–119, B = 0–79 and 200–204, S = 0–29 and 80, H = 0–49 and 80–99. The easy documents 0–29 have few zlib bytes
    and low perplexity. Students distilled without 0–79 memorized 90 + seed.
    """

    def __init__(self) -> None:
        self.hand = ByHand([*range(300), *(list(range(20)) * 7), *range(20, 40), 300], too_short=[300])
        self.random = np.random.default_rng(3)
        zlib = self.random.integers(200, 400, 300), self.random.integers(50, 80, 30)
        nll = self.random.uniform(2.5, 4.0, 300), self.random.uniform(0.5, 0.8, 30)
        self.columns: dict[str, ByDocument] = {
            "zlib_bytes": by_document(*zlib), "nll": by_document(*nll),
        }  # fmt: skip

    def near(self, low: float, high: float) -> dict[int, float]:
        return by_document(self.random.uniform(low, high, 300))

    def sureness(self, entropy: tuple[float, float], logprob: tuple[float, float]) -> dict[str, ByDocument]:
        """Columns of entropy and log-probability, the latter high for the teacher's documents and low for others."""
        entropies, low = self.near(*entropy), self.near(-200, -100)
        high = {document: value for document, value in self.near(*logprob).items() if document < 120}
        return {"entropy": entropies, "logprob": low | high}

    def trio(self, seed: int = 0, **place: str) -> list[ModelRun]:
        teacher_columns = self.columns | self.sureness((0.1, 0.3), (-2, -1))
        baseline_columns = self.columns | self.sureness((1.0, 1.2), (-8, -6))
        student_columns = self.columns | self.sureness((1.4, 1.6), (-40, -30))
        baseline_set, student_set = [*range(80), *range(200, 205)], [*range(30), 80]
        return [
            self.hand.model("teacher", range(120), **teacher_columns, **place),
            self.hand.model("baseline", baseline_set, seed=seed, **baseline_columns, **place),
            self.hand.model("soft", student_set, seed=seed, **student_columns, **place),
        ]

    def runs(self) -> list[ModelRun]:
        model, runs = self.hand.model, []
        for seed in (0, 1, 2):
            runs += self.trio(seed)[0 if seed == 0 else 1 :]
            runs.append(model("hard", [*range(50), *range(80, 100)], seed=seed, **self.columns))
            runs.append(self.hand.cleaned(model("soft", [90 + seed], seed=seed, loss=2.5), range(80)))
        runs.append(model("soft", range(60), part="temperature", temperature=1.0))
        runs.append(model("soft", range(10), part="temperature", temperature=4.0))
        runs.append(model("baseline", range(40), part="size", size="medium", parameters=1))
        for family in ("olmo2", "qwen3"):
            runs += self.trio(part="families", family=family)
        return [*runs, *self.trio(part="pilot")]

    def study(self) -> Study:
        """The study without pairs, so that no risk is predicted."""
        return self.hand.study(*self.runs())

    def predicted_study(self) -> Study:
        """The study in which risk is predicted for Qwen3 alone, because a prediction takes seconds."""
        runs = self.runs()
        teacher, baseline = len(runs) - 6, len(runs) - 5
        runs[baseline] = self.hand.paired(runs[teacher], runs[baseline], self.near(0.1, 1.0))
        return self.hand.study(*runs)


def by_document(values: np.ndarray, first_values: Sequence[float] | np.ndarray = ()) -> dict[int, float]:
    """Values of the documents from 0 on, the first of which are replaced."""
    return dict(enumerate(values.tolist())) | dict(enumerate(np.asarray(first_values).tolist()))


@pytest.fixture(scope="session")
def by_hand() -> type[ByHand]:
    return ByHand


@pytest.fixture(scope="session")
def whole_study() -> Callable[..., Study]:
    """Makes the study with every part, once; see `WholeStudy`."""

    @cache
    def make(*, predicted: bool = False) -> Study:
        return WholeStudy().predicted_study() if predicted else WholeStudy().study()

    return make


def line(lines: Sequence[Row], figure: str, setting: str | None = None) -> Row:
    """The only row of a figure, or of a figure in a setting."""
    (matching,) = (row for row in lines if row.figure == figure and setting in (None, row.setting))
    return matching


def pairs(shares: Iterable[Share]) -> list[tuple[int, int]]:
    return [(share.k, share.n) for share in shares]


def overlapping_study(by_hand: type[ByHand]) -> Study:
    """Two seeds whose students overlap with teacher and baseline in every way."""
    # T = 0–49, B = 0–9 and 60–64. Seed 0: S = 0–5, 10, 60, 70. Seed 1: S = 0–7.
    hand = by_hand([*range(80), *range(10)])
    b = [*range(10), *range(60, 65)]
    runs = [
        hand.model("teacher", range(50)),
        hand.model("baseline", b),
        hand.model("baseline", b, seed=1),
        hand.model("soft", [*range(6), 10, 60, 70]),
        hand.model("soft", range(8), seed=1),
    ]
    return hand.study(*runs)
