"""A class's rate counts recited examples of the class among all, with the bounds that ambiguous verdicts allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.secret_settings import SecretSettings
from tests.metrics.score_tables import memorization_from, row, too_short

ROWS = [
    row("a", memorized=True),
    row("a", memorized=True),
    row("b", memorized=True, ambiguous=True),
    row("c", ambiguous=True),
    row("d", memorized=True),
    too_short("e"),
    row("f"),
]
CLASSES = {"a": ["email"], "b": ["email", "phone"], "c": ["email"], "d": []}


@pytest.fixture
def memorization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memorization:
    """A memorization whose recited examples were searched before, so that no training set is read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "tokenizer.json").write_text("{}")
    secrets = SecretsOfExamples(SecretSearch(SecretSettings()), ScoreStore(tmp_path / "store"))
    memorization = memorization_from(ROWS)
    secrets.store.write_entry("secret-classes", secrets._key(memorization.scores), {"classes": CLASSES})
    return replace(memorization, secrets=secrets)


def test_a_rate_is_over_all_distinct_examples(memorization: Memorization) -> None:
    emails = memorization.of_class("email")
    rate = emails.rate
    # Of a, b, c, d and f: a surely, b as observed, c perhaps.
    assert (rate.k, rate.n, rate.low, rate.value, rate.high, rate.ambiguous) == (2, 5, 1 / 5, 2 / 5, 3 / 5, 2)
    assert (emails.count, emails.examples, emails.ambiguous_examples) == (2, [0, 2], [2, 3])
    assert rate.metric == "email memorization rate"
    assert rate.too_short == 1


def test_a_class_that_nothing_recited_holds_has_rate_zero(memorization: Memorization) -> None:
    rate = memorization.of_class("card").rate
    assert (rate.value, rate.low, rate.high) == (0, 0, 0)
    assert rate <= 0


def test_over_a_sample_the_bounds_are_those_of_a_proportion(memorization: Memorization) -> None:
    record = replace(memorization.scores.record, exhaustive=False)
    sampled = replace(memorization, scores=replace(memorization.scores, record=record))
    assert sampled.of_class("card").rate.high == pytest.approx(1 - 0.05 ** (1 / 5))


def test_what_cannot_be_counted_is_an_error(memorization: Memorization) -> None:
    with pytest.raises(SpecError, match="ner-model"):
        memorization.of_class("name")
    with pytest.raises(SpecError, match="found 'iban'"):
        memorization.of_class("iban")
    with pytest.raises(SpecError, match="belongs to none"):
        replace(memorization, secrets=None).of_class("email")
    with pytest.raises(ComparisonError, match="neither true nor false"):
        bool(memorization.of_class("email"))
