"""An audit's own figures are those over its own training set."""

from __future__ import annotations

from tests.auditing.test_build_result import ELSEWHERE, EMPTY, MEMORIZATIONS, SCORED


def test_what_was_scored_over_another_set_is_not_the_audits_own() -> None:
    assert ELSEWHERE.label in SCORED.memorizations
    assert SCORED.own_memorizations == MEMORIZATIONS
    assert list(SCORED.own_memorizations) == ["teacher", "baseline", "student"]
    assert EMPTY.own_memorizations == {}
