"""A result holds everything that an audit scored, each model under its own name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_kdmem.auditing.build_result import build_metrics, build_result
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.runtime import RunSettings
from tests.auditing.results import full_result
from tests.metrics.score_tables import memorization_from, row
from tests.specs.any_card import card

GATES = full_result().gates
METRICS: dict[str, Any] = {"nll": 1.0, "logprob": -50.0}
MEMORIZATIONS = {
    role: memorization_from([row(digest, memorized=digest in recited, **METRICS) for digest in "abcd"], subject=role)
    for role, recited in (("teacher", "abc"), ("baseline", "a"), ("student", "ab"))
}
STUDENT = MEMORIZATIONS["student"]
ELSEWHERE = replace(STUDENT, other_set="other.jsonl")
SCORED = ScoredAudit(
    name="audits/a",
    extraction=Extraction(10, 10, 20),
    confidence=0.9,
    memorizations=MEMORIZATIONS | {ELSEWHERE.label: ELSEWHERE},
    control_memorizations={"student": STUDENT},
    run_cards={STUDENT.scores.model: card()},
    confirmations={},
    inheritance=compute_inheritance(**MEMORIZATIONS),
    predicted_risk=None,
    warnings=("careful",),
)
EMPTY = replace(SCORED, memorizations={}, control_memorizations={}, run_cards={}, inheritance=None, warnings=())


def build(scored: ScoredAudit, *, shows_text: bool = False) -> Any:
    run = RunSettings(offline=True)
    return build_result(scored, {"student": "runs/student"}, GATES, shows_text=shows_text, run=run)


def test_every_part_of_the_result_is_filled() -> None:
    result = build(SCORED)
    assert result.name == "audits/a"
    assert result.settings == {
        "student": "runs/student", "prefix_tokens": 10, "suffix_tokens": 10, "window_tokens": 20, "confidence": 0.9,
    }  # fmt: skip
    assert set(result.models) == {"teacher", "baseline", "student", "student on other.jsonl"}
    assert {label: rate.k for label, rate in result.memorization.items()} == {
        "teacher": 3, "baseline": 1, "student": 2, "student on other.jsonl": 2,
    }  # fmt: skip
    assert result.memorized_examples["teacher"] == (0, 1, 2)
    assert set(result.other_sets) == {"student on other.jsonl"}
    assert set(result.held_out) == {"student"}
    assert result.models["student"].run is not None
    assert result.models["teacher"].run is None
    assert result.inheritance.inherited == 1
    assert result.risk is None
    assert (result.warnings, result.gates) == (("careful",), GATES)


def test_single_examples_are_those_of_the_audits_own_set() -> None:
    result = build(SCORED)
    assert set(result.examples.models) == set(result.distributions.models) == {"teacher", "baseline", "student"}
    assert result.examples.example_id == (0, 1, 2)


def test_metrics_alone_hold_no_single_example() -> None:
    metrics = build_metrics(SCORED, {}, ())
    assert (metrics.examples, metrics.distributions, metrics.gates) == (None, None, ())
    assert metrics.memorization.keys() == SCORED.memorizations.keys()


def test_an_audit_that_scored_nothing_has_an_empty_result() -> None:
    result = build(EMPTY)
    assert (result.models, result.training_set, result.control_set, result.examples) == ({}, None, None, None)


def test_text_that_cannot_be_read_is_a_warning() -> None:
    """The training set of these score tables is no file."""
    result = build(SCORED, shows_text=True)
    assert result.warnings[0] == "careful"
    assert result.warnings[1].startswith("text is not shown: ")
    assert result.examples.prefix == ()
