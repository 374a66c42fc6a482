"""One model's scores → what it memorized, over distinct examples that are long enough."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.inheritance import inheritance_of
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import SCHEMA, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

NUMERICS = Numerics("transformers", "cpu", "float32", "2.0", "5.0")


def row(digest: str, *, memorized: bool = False, ambiguous: bool = False, **metrics: float) -> dict[str, Any]:
    first_miss = -1 if memorized else 3
    margin = 1.0 if memorized else -1.0
    return {"digest": digest, "status": "scored", "memorized": memorized, "ambiguous": ambiguous, "margin": margin,
            "first_miss": first_miss, **metrics}  # fmt: skip


def too_short(digest: str) -> dict[str, Any]:
    return {"digest": digest, "status": "too_short"}


def scored(
    rows: list[dict[str, Any]],
    *,
    subject: str = "student",
    exhaustive: bool = True,
    tokenizer: str = "t",
    shards: tuple[str, ...] = ("one",),
) -> Memorization:
    """What a model whose scores are these rows memorized; example ids are the rows' positions."""
    short = sum(entry["status"] == "too_short" for entry in rows)
    table = ScoreTable(
        model=Model(f"runs/{subject}"),
        checkpoint=Checkpoint(
            Path(subject), f"digest of {subject}", tokenizer, tokenizer, 10, 300, 256, "float32", "GPTNeoXForCausalLM"
        ),
        training_set=TrainingSet("train.jsonl"),
        record=CorpusRecord(len(rows), short, exhaustive, shards),
        numerics=NUMERICS,
        extraction=Extraction(),
        rows=pa.Table.from_pylist([{"example_id": at, **entry} for at, entry in enumerate(rows)], SCHEMA),
        tolerance=1e-3,
        scored_now=len(rows),
    )
    return Memorization(subject, table)


def test_exact_duplicates_are_one_example() -> None:
    found = scored([row("a", memorized=True), row("b"), row("a", memorized=True), row("b"), row("c"), row("a")])
    assert (found.count, found.rate.n, found.duplicates) == (1, 3, 3)
    assert found.rate.value == 1 / 3
    assert found.distinct["copies"].to_pylist() == [3, 2, 1]


def test_an_example_is_memorized_if_any_copy_is() -> None:
    assert scored([row("a"), row("a"), row("a", memorized=True)]).count == 1


def test_a_memorized_example_is_named_by_its_first_copy() -> None:
    assert scored([row("b"), row("a"), row("c", memorized=True), row("a", memorized=True)]).examples == [1, 2]


def test_examples_too_short_are_counted_and_left_out_of_the_rate() -> None:
    found = scored([row("a", memorized=True), too_short("s"), row("b"), too_short("s"), too_short("r")])
    assert (found.rate.k, found.rate.n, found.too_short) == (1, 2, 3)


def test_ambiguous_verdicts_widen_the_bounds_either_way() -> None:
    rows = [row("a", memorized=True), row("b", memorized=True, ambiguous=True), row("c", ambiguous=True), row("d")]
    rate = scored(rows).rate
    assert (rate.low, rate.value, rate.high) == (0.25, 0.5, 0.75)
    assert (rate.k, rate.ambiguous) == (2, 2)


def test_an_example_sure_in_one_copy_is_not_ambiguous() -> None:
    found = scored([row("a", ambiguous=True), row("a", memorized=True), row("b")])
    assert (found.count, found.ambiguous) == (1, 0)
    assert found.rate.low == found.rate.high == 0.5


def test_over_a_sample_the_bounds_count_ambiguous_examples_against_the_model() -> None:
    rows = [row(str(at), memorized=at < 3, ambiguous=at in (2, 3, 4)) for at in range(200)]
    rate = scored(rows, exhaustive=False).rate
    assert (rate.low, rate.high) == (lower_bound(2, 200, 0.95), upper_bound(5, 200, 0.95))


def test_where_nothing_is_long_enough_the_rate_is_undefined() -> None:
    found = scored([too_short("a"), too_short("b")])
    assert math.isnan(found.rate.value)
    assert not found.rate <= 1
    assert found.duplicates == 0


def test_the_loss_is_the_mean_over_distinct_examples() -> None:
    found = scored([row("a", nll=2.0), row("b", nll=4.0), row("a", nll=2.0), too_short("s"), row("c", nll=6.0)])
    assert found.loss.value == 4.0
    assert found.loss.n == 3
    assert found.perplexity == pytest.approx(math.exp(4.0))


@given(
    logprobs=st.lists(st.floats(-60, 0, width=32), min_size=1, max_size=30),
    n=st.integers(1, 10**9),
    p=st.floats(1e-6, 1 - 1e-6),
)
def test_extractable_is_what_enough_draws_hold(logprobs: list[float], n: int, p: float) -> None:
    found = scored([row(str(at), logprob=value) for at, value in enumerate(logprobs)])
    needed = []  # draws for a chance of p, n = ln(1 − p) / ln(1 − q), where q is the suffix's probability
    for value in logprobs:
        q = math.exp(value)
        needed.append(1.0 if q >= 1 else math.log1p(-p) / math.log1p(-q) if q > 0 else math.inf)
    sure = sum(draws <= n * (1 - 1e-9) for draws in needed)
    possible = sum(draws <= n * (1 + 1e-9) for draws in needed)
    assert sure <= (found.extractable(n=n, p=p).k or 0) <= possible


def test_more_draws_extract_no_less() -> None:
    rows = [row(str(at), logprob=-float(at)) for at in range(30)]
    hits = [scored(rows).extractable(n=n, p=0.5).k for n in (1, 10, 1000, 10**6)]
    assert hits == sorted(hits, key=lambda k: k or 0)
    assert hits[0] == 1
    assert hits[1] == 3  # 1 − (1 − e^−2)^10 = 0.77, and 0.40 for e^−3


@pytest.mark.parametrize(("n", "p"), [(0, 0.5), (-1, 0.5), (10, 0.0), (10, 1.0), (10, math.nan), (math.nan, 0.5)])
def test_extraction_in_no_draws_or_with_no_probability_is_refused(n: Any, p: float) -> None:
    with pytest.raises(SpecError, match="n ≥ 1"):
        scored([row("a", logprob=-1.0)]).extractable(n=n, p=p)


def test_a_metric_that_was_not_scored_is_refused_with_the_way_out() -> None:
    verdicts = scored([row("a"), row("b", memorized=True)])
    for ask in (lambda: verdicts.loss, lambda: verdicts.perplexity, lambda: verdicts.extractable(n=1, p=0.5)):
        with pytest.raises(SpecError, match=r"^[^\n]*student[^\n]*metrics=\"all\"[^\n]*\.$"):
            ask()


def test_three_memorizations_are_compared_example_by_example() -> None:
    def model(subject: str, memorized: str) -> Memorization:
        return scored([row(digest, memorized=digest in memorized) for digest in "abcdabc"], subject=subject)

    found = inheritance_of(model("teacher", "abc"), model("baseline", "b"), model("student", "abd"))
    assert found.inherited_examples == [0]
    assert found.cells == {
        "teacher": 1, "baseline": 0, "student": 1, "teacher+baseline": 0,
        "teacher+student": 1, "baseline+student": 0, "all": 1, "none": 0,
    }  # fmt: skip


def test_models_with_different_tokenizers_are_not_compared() -> None:
    teacher, student = scored([row("a")], subject="teacher", tokenizer="other"), scored([row("a")])
    with pytest.raises(SpecError, match="tokenizer"):
        inheritance_of(teacher, student, student)


def test_models_scored_over_different_examples_are_not_compared() -> None:
    teacher, student = scored([row("a")], subject="teacher"), scored([row("b")], shards=("two",))
    with pytest.raises(SpecError, match="same examples"):
        inheritance_of(teacher, student, student)


def test_flags_stand_in_the_order_of_the_training_set() -> None:
    digests = [f"{value:02}" for value in np.random.default_rng(0).permutation(40)]
    found = scored([row(digest, memorized=at % 3 == 0) for at, digest in enumerate(digests)])
    assert found.distinct["example_id"].to_pylist() == list(range(40))
    assert found.flags("memorized").tolist() == [at % 3 == 0 for at in range(40)]
