"""Entries hold the values of what they summarize."""

from __future__ import annotations

from dataclasses import fields

import pytest

from pytest_kdmem.auditing.schema import InheritanceEntry
from pytest_kdmem.auditing.schema_checks import EngineCheckEntry
from pytest_kdmem.auditing.summarize import (
    confirmation_entry,
    data_entry,
    empty_result,
    inheritance_entry,
    model_entry,
)
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.metrics.inheritance import Inheritance, compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.confirmation import Confirmation, Disagreement, EngineCheck
from pytest_kdmem.scoring.too_short import TooShort
from tests.metrics.score_tables import memorization_from, row, too_short
from tests.specs.any_card import card


def memorization_of(role: str) -> Memorization:
    """Of four examples the teacher recites three, the student two of these, and the baseline one."""
    recited = {"teacher": "abc", "student": "ab", "baseline": "a"}[role]
    rows = [row(digest, memorized=digest in recited) for digest in "abcd"]
    return memorization_from([*rows, row("a", memorized="a" in recited), too_short("e")], subject=role)


@pytest.fixture(scope="module")
def inheritance() -> Inheritance:
    return compute_inheritance(*map(memorization_of, ("teacher", "baseline", "student")))


def test_a_model_entry_names_the_model_and_what_decided_its_verdicts() -> None:
    scores = memorization_of("student").scores
    entry = model_entry(scores, card())
    assert (entry.source, entry.revision, entry.digest) == ("runs/student", None, "digest of student")
    assert (entry.parameters, entry.architecture) == (10, "GPTNeoXForCausalLM")
    assert (entry.engine, entry.device, entry.dtype) == ("transformers", "cpu", "float32")
    assert entry.tolerance == 1e-3
    assert entry.run == card().summary()
    assert model_entry(scores, None).run is None


def test_a_data_entry_counts_examples_copies_and_those_too_short() -> None:
    memorization = memorization_of("student")
    entry = data_entry(memorization)
    assert (entry.source, entry.digest) == ("train.jsonl", memorization.scores.record.digest)
    assert (entry.examples, entry.distinct, entry.duplicates, entry.too_short) == (6, 4, 1, 1)
    assert entry.short == TooShort(1, 1, 1)
    assert entry.exhaustive
    assert entry.left_out == 0


def test_an_inheritance_entry_has_every_value_of_its_inheritance(inheritance: Inheritance) -> None:
    entry = inheritance_entry(inheritance)
    assert (entry.inherited, entry.inherited_examples, entry.easy) == (1, (1,), 1)
    for field in fields(InheritanceEntry):
        assert to_json(getattr(entry, field.name)) == to_json(getattr(inheritance, field.name)), field.name
    assert entry.model_digest == "digest of student"
    assert entry.comparable_on["teacher"] == "digest of teacher"


def test_a_confirmation_entry_names_the_engine_of_each_disagreement() -> None:
    disagreement = Disagreement(7, True, False, ambiguous=True, margin=1e-5)
    checks = (EngineCheck("vllm", "decoded", 9, (disagreement,)), EngineCheck("transformers", "scored", 9, ()))
    entry = confirmation_entry(Confirmation(100, 12, 9, 4, checks, 2.0**-13, 2e-5))
    assert (entry.checked, entry.ambiguous_checked, entry.ambiguous) == (9, 4, 12)
    assert (entry.claimed_tolerance, entry.greatest_difference) == (2.0**-13, 2e-5)
    assert entry.implied_tolerance == 2.0**-15
    assert entry.engine_checks == (
        EngineCheckEntry("vllm", "decoded", 9),
        EngineCheckEntry("transformers", "scored", 9),
    )
    [entry_of_disagreement] = entry.disagreements
    assert entry_of_disagreement == {"engine": "vllm", "way": "decoded"} | to_json(disagreement)


def test_an_empty_result_names_settings_versions_and_the_audit() -> None:
    result = empty_result({"student": "runs/x"}, (), "audits/a")
    assert (result.name, result.settings, result.gates) == ("audits/a", {"student": "runs/x"}, ())
    assert result.versions.keys() == {"pytest-kdmem", "torch", "transformers", "tokenizers"}
