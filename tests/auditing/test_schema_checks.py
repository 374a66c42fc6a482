"""Entries of checks keep the names that they had in the first reports, which lack some of them and still load."""

from __future__ import annotations

import json

import pytest

from pytest_kdmem.auditing.schema_checks import ConfirmationEntry, EngineCheckEntry, MetricChange
from pytest_kdmem.base.typed_json import from_json, to_json

FIRST = {"checked": 3, "ambiguous_checked": 1, "disagreements": [{"engine": "vllm", "example_id": 7}]}
CHANGE = MetricChange(
    "memorization rate", "student", None, None, 2, 0, (4, 9), None, None, None, 0.25, "undecided", "may be chance"
)


def test_a_confirmation_of_the_first_reports_loads() -> None:
    entry = from_json(ConfirmationEntry, FIRST)
    assert (entry.engine_checks, entry.ambiguous, entry.claimed_tolerance) == ((), None, None)
    assert to_json(entry).items() >= FIRST.items()


def test_engines_that_checked_are_witnesses_in_a_report() -> None:
    witness = {"engine": "vllm", "way": "decoded", "checked": 3}
    entry = from_json(ConfirmationEntry, {**FIRST, "witnesses": [witness]})
    assert entry.engine_checks == (EngineCheckEntry("vllm", "decoded", 3),)
    assert to_json(entry)["witnesses"] == [witness]


def test_a_change_survives_json_under_its_first_names() -> None:
    content = json.loads(json.dumps(to_json(CHANGE), allow_nan=False))
    assert {"found", "accepted"} <= content.keys()
    assert from_json(MetricChange, content) == CHANGE


def test_an_outcome_that_no_comparison_has_is_refused() -> None:
    with pytest.raises((TypeError, ValueError), match="outcome"):
        from_json(MetricChange, to_json(CHANGE) | {"outcome": "fine"})
