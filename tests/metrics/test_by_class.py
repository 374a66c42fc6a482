"""A class's rate counts recited examples of the class among all, with the bounds that ambiguous verdicts allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.auditing.verdict import judge
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.window_columns import pack_bits
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
PLACES = {"a": {"email": 0}, "b": {"email": 49, "phone": 3}, "c": {"email": 7}, "d": {}}


@pytest.fixture
def memorization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memorization:
    """A memorization whose recited examples were searched before, so that no training set is read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "tokenizer.json").write_text("{}")
    secrets = SecretsOfExamples(SecretSearch(SecretSettings()), ScoreStore(tmp_path / "store"))
    memorization = memorization_from(ROWS)
    secrets.store.write_entry("secret-classes", secrets._key(memorization.scores), {"places": PLACES})
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


def test_without_windows_a_secret_behind_the_suffix_leaves_comparisons_that_hold_inconclusive(
    memorization: Memorization,
) -> None:
    assert memorization.secrets is not None
    places = PLACES | {"a": {"email": 50}, "d": {"card": 7, "email": 200}}
    key = memorization.secrets._key(memorization.scores)
    memorization.secrets.store.write_entry("secret-classes", key, {"places": places})
    memorization.secrets._read.clear()
    emails = memorization.of_class("email")
    assert (emails.examples, emails.ambiguous_examples) == ([2], [2, 3])
    reason = "because 2 recited examples hold a secret of class email behind the suffix, and verdicts alone were scored"
    verdict = judge(emails.rate.compare("<=", 0.5))
    assert (verdict.outcome, verdict.basis) == ("inconclusive", reason)
    assert 'metrics="all"' in verdict.remedy
    assert judge(emails.rate.compare("<=", 0.3)).outcome == "fail"
    assert judge(memorization.of_class("card").rate.compare("<=", 0.2)).outcome == "pass"


def windows(hits: int, unsure: int, tokens: int = 120) -> dict[str, Any]:
    """The columns of a window of which so many tokens behind 50 are hit, and so many behind these are near ties."""
    at = np.arange(1, tokens)
    is_hit, is_unsure = (at >= 50) & (at < 50 + hits), (at >= 50 + hits) & (at < 50 + hits + unsure)
    columns = {"hits": pack_bits(is_hit), "unsure": pack_bits(is_unsure), "min_k": -1.0, "min_k_plus": -1.0}
    return {"tokens": tokens, "suffix_at": 50} | columns


def test_with_windows_a_secret_counts_if_what_is_recited_goes_on_to_it(memorization: Memorization) -> None:
    assert memorization.secrets is not None
    names = {"reached": (61, 0), "missed": (60, 0), "perhaps": (55, 6), "other engine": (3, 0)}
    rows = [row(name, memorized=True) | windows(*lengths) for name, lengths in names.items()]
    whole = replace(memorization_from(rows), secrets=memorization.secrets)
    places = {name: {"email": 60, "phone": 49} for name in names}
    whole.secrets.store.write_entry("secret-classes", whole.secrets._key(whole.scores), {"places": places})
    emails, phones = whole.of_class("email"), whole.of_class("phone")
    assert (emails.examples, emails.ambiguous_examples) == ([0], [2])
    assert (emails.rate.low, emails.rate.value, emails.rate.high) == (1 / 4, 1 / 4, 2 / 4)
    assert emails.rate.not_shown is None
    assert phones.examples == [0, 1, 2, 3]


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
