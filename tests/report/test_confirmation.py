"""The line on a confirmation names the checks, counts disagreements, and gives tolerances as powers of two."""

from __future__ import annotations

import math

import pytest

from pytest_kdmem.auditing.schema_checks import ConfirmationEntry
from pytest_kdmem.report.confirmation import confirmation_line, format_tolerance
from tests.report.audits import confirmation_entry


def test_a_confirmed_model_has_its_checks_examples_and_tolerances_in_the_line() -> None:
    assert confirmation_line("student", confirmation_entry()) == (
        "student confirmed by 4 checks (transformers scored and decoded, vllm scored and decoded): 192 examples,"
        " 12 ambiguous, 1 disagreement inside the band; tolerance claimed 2^-13, implied 2^-15"
    )


def test_a_confirmation_without_disagreement_says_so() -> None:
    line = confirmation_line("student", confirmation_entry(disagreements=()))
    assert "192 examples, 12 ambiguous, no disagreement; tol" in line


def test_ambiguous_examples_that_were_not_checked_are_counted() -> None:
    assert "12 of 5 000 ambiguous" in confirmation_line("student", confirmation_entry(ambiguous=5000))


def test_a_disagreement_outside_the_band_means_not_confirmed() -> None:
    [inside] = confirmation_entry().disagreements
    line = confirmation_line("student", confirmation_entry(disagreements=(inside, {**inside, "ambiguous": False})))
    assert line.startswith("student not confirmed by 4 checks")
    assert ", 2 disagreements, 1 outside the band;" in line


def test_a_confirmation_of_the_first_reports_is_described() -> None:
    line = confirmation_line("student", ConfirmationEntry(70, 2, ()))
    assert line == "student confirmed: 70 examples, 2 ambiguous, no disagreement"


@pytest.mark.parametrize(
    ("tolerance", "expected"),
    [(None, "unknown"), (2.0**-13, "2^-13"), (1.0, "2^0"), (0.003, "0.003"), (0.0, "0"), (math.inf, "inf")],
)
def test_tolerances(tolerance: float | None, expected: str) -> None:
    assert format_tolerance(tolerance) == expected
