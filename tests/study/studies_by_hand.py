"""Studies written by hand: the documents that each model memorized are given, and nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

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


class ByHand:
    """Models over one D, given as the document of each row."""

    def __init__(self, rows: Iterable[int], *, too_short: Iterable[int] = ()) -> None:
        self.rows = tuple(rows)
        self.too_short = frozenset(too_short)

    def scores(
        self, memorized: Iterable[int], ambiguous: Iterable[int] = (), **columns: Mapping[int, float]
    ) -> pa.Table:
        """A score table; columns are given by document, and what is not has a plain value."""
        hits, doubtful = set(memorized), set(ambiguous)
        plain = {"margin": -1.0, "logprob": -50.0, "nll": 3.0, "entropy": 2.0, "zlib_bytes": 100}

        def row(at: int, document: int) -> dict[str, object]:
            base = {
                "example_id": at,
                "digest": f"{document:08x}",
                "memorized": None,
                "ambiguous": None,
                "first_miss": None,
            }
            if document in self.too_short:
                return base | {"status": "too_short"} | dict.fromkeys(plain)
            values = {name: columns.get(name, {}).get(document, value) for name, value in plain.items()}
            verdict = {"memorized": document in hits, "ambiguous": document in doubtful, "first_miss": -1}
            return base | {"status": "scored"} | verdict | values

        return pa.Table.from_pylist([row(*each) for each in enumerate(self.rows)], schema=SCHEMA)

    def model(
        self,
        role: str,
        memorized: Iterable[int] = (),
        *,
        seed: int = 0,
        part: str = "main",
        family: str = "pythia",
        dataset: str = "fineweb",
        size: str | None = None,
        parameters: int | None = None,
        temperature: float | None = None,
        loss: float | None = None,
        ambiguous: Iterable[int] = (),
        **columns: Mapping[int, float],
    ) -> ModelRun:
        return ModelRun(
            part=part,
            family=family,
            dataset=dataset,
            role=role,  # type: ignore[arg-type]
            size=size or ("large" if role == "teacher" else "small"),
            seed=seed,
            temperature=temperature if temperature is not None else 2.0 if role == "soft" else None,
            parameters=parameters or (12 if role == "teacher" else 2),
            seconds=1.0,
            held_out_loss=LOSSES[role] if loss is None else loss,
            scores=self.scores(memorized, ambiguous, **columns),
        )

    def paired(self, teacher: ModelRun, baseline: ModelRun, kl: Mapping[int, float]) -> ModelRun:
        """The baseline with its scores and the teacher's; how far the two are apart is given by document."""

        def scores(run: ModelRun) -> ScoreTable:
            checkpoint = Checkpoint(Path(), run.role, "tokenizer", "text", 1, 300, None, "float32", "GPTNeoX")
            record = CorpusRecord(len(self.rows), len(self.too_short), True, ("shard",))
            numerics = Numerics("transformers", "cpu", "float32", "2.0", "5.0")
            source = TrainingSet("training.jsonl")
            return ScoreTable(Model(run.role), checkpoint, source, record, numerics, Extraction(), run.scores, 1e-3, 0)

        apart = [None if document in self.too_short else kl[document] for document in self.rows]
        ids, digests = (baseline.scores[name] for name in ("example_id", "digest"))
        divergence = pa.table([ids, digests, pa.array(apart, pa.float32())], schema=KL_SCHEMA)
        return replace(baseline, pair=PairTable(scores(teacher), scores(baseline), divergence))

    def cleaned(self, student: ModelRun, left_out: Iterable[int]) -> ModelRun:
        """The student as one of D without all copies of these documents."""
        gone = set(left_out)
        rows = [
            {"example_id": at, "digest": f"{document:08x}", "reason": "at risk", "risk": 0.9, "of": f"{document:08x}"}
            for at, document in enumerate(self.rows)
            if document in gone
        ]
        return replace(student, part="prefilter", left_out=pa.Table.from_pylist(rows, schema=REMOVED_SCHEMA))

    def study(self, *runs: ModelRun) -> Study:
        return Study("by hand", {"seeds": [0, 1, 2]}, runs, {run.dataset: self.rows for run in runs})


@pytest.fixture(scope="session")
def by_hand() -> type[ByHand]:
    return ByHand


@pytest.fixture(scope="session")
def whole_study() -> Callable[..., Study]:
    """Every part of a study over 300 documents, of which 0–19 stand in D eight times and 20–39 twice.

    T = 0–119, B = 0–79 and 200–204, S = 0–29 and 80; H = 0–49 and 80–99. Easy ones have few zlib bytes, low perplexity.
    Without 0–79, S = 90 + seed. Risk is predicted for Qwen-3 alone, and only if asked for, as it takes seconds.
    """

    def make(*, predicted: bool = False) -> Study:
        rows = [*range(300), *(list(range(20)) * 7), *range(20, 40), 300]
        hand = ByHand(rows, too_short=[300])
        random = np.random.default_rng(3)
        zlib = dict(enumerate(random.integers(200, 400, 300).tolist())) | dict(
            enumerate(random.integers(50, 80, 30).tolist())
        )
        nll = dict(enumerate(random.uniform(2.5, 4.0, 300).tolist())) | dict(
            enumerate(random.uniform(0.5, 0.8, 30).tolist())
        )

        def near(low: float, high: float) -> dict[int, float]:
            return dict(enumerate(random.uniform(low, high, 300).tolist()))

        def logprobs(forced: tuple[float, float]) -> dict[int, float]:
            return near(-200, -100) | {document: value for document, value in near(*forced).items() if document < 120}

        def trio(seed: int = 0, **place: str) -> list[ModelRun]:
            teacher = hand.model(
                "teacher",
                range(120),
                zlib_bytes=zlib,
                nll=nll,
                entropy=near(0.1, 0.3),
                logprob=logprobs((-2, -1)),
                **place,
            )
            baseline = hand.model(
                "baseline",
                [*range(80), *range(200, 205)],
                seed=seed,
                zlib_bytes=zlib,
                nll=nll,
                entropy=near(1.0, 1.2),
                logprob=logprobs((-8, -6)),
                **place,
            )
            soft = hand.model(
                "soft",
                [*range(30), 80],
                seed=seed,
                zlib_bytes=zlib,
                nll=nll,
                entropy=near(1.4, 1.6),
                logprob=logprobs((-40, -30)),
                **place,
            )
            return [teacher, baseline, soft]

        runs: list[ModelRun] = []
        for seed in (0, 1, 2):
            runs += trio(seed)[0 if seed == 0 else 1 :]
            runs.append(hand.model("hard", [*range(50), *range(80, 100)], seed=seed, zlib_bytes=zlib, nll=nll))
            runs.append(hand.cleaned(hand.model("soft", [90 + seed], seed=seed, loss=2.5), range(80)))
        runs.append(hand.model("soft", range(60), part="temperature", temperature=1.0))
        runs.append(hand.model("soft", range(10), part="temperature", temperature=4.0))
        runs.append(hand.model("baseline", range(40), part="size", size="medium", parameters=1))
        for family in ("olmo2", "qwen3"):
            runs += trio(part="families", family=family)
        runs += trio(part="pilot")
        if predicted:
            teacher, baseline, _ = range(len(runs) - 6, len(runs) - 3)
            runs[baseline] = hand.paired(runs[teacher], runs[baseline], near(0.1, 1.0))
        return hand.study(*runs)

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
