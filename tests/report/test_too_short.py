"""Reports tell in the same words what was too short to be looked at."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.report.too_short import number, too_short_text
from tests.report.audits import full_audit


def test_what_was_too_short_and_what_was_left_out_are_told_together() -> None:
    data = full_audit().training_set
    assert data is not None
    short = replace(data, too_short=99, too_short_distinct=27, too_short_copies=24, left_out=1)
    told = "27 examples that are too short (99 rows, one stands 24 times); 1 shorter document that was left out"
    assert too_short_text(full_audit(training_set=short)) == told
    assert too_short_text(full_audit(training_set=replace(data, too_short=0))) == ""
    assert too_short_text(full_audit(training_set=None)) == ""


def test_a_number_of_things_has_their_name() -> None:
    assert [number(things, "gate") for things in (0, 1, 2000)] == ["0 gates", "1 gate", "2 000 gates"]
    assert number(2, "tier of copies", "tiers of copies") == "2 tiers of copies"
