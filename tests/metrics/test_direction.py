"""In an audit a comparison protects what is released, or it is refused by a sentence that says how to write it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_kdmem.metrics.direction import Operator, protects, wrong_way_round


@dataclass(frozen=True)
class Measured:
    metric: str
    subject: str = "student"


RATE, REDUCTION, LOSS = Measured("memorization rate"), Measured("reduction"), Measured("loss")
BASELINE, TEACHER = Measured("memorization rate", "baseline"), Measured("memorization rate", "teacher")
OTHER, ELSEWHERE = Measured("memorization rate", "./runs/x"), Measured("memorization rate", "student on unseen.npy")
IN_A_FOLDER, REDUCTION_OF_BASELINE = Measured("memorization rate", "student runs/x"), Measured("reduction", "baseline")


@pytest.mark.parametrize(
    ("left", "operators", "right"),
    [
        (RATE, "<= <", None),
        (LOSS, "<= <", None),
        (Measured("share at risk", "data.npy"), "<= <", None),
        (Measured("(10, 0.5)-extractable rate"), "<= <", None),
        (REDUCTION, ">= >", None),
        (Measured("easy share"), "<= < >= >", None),
        (RATE, "<= <", BASELINE),
        (BASELINE, ">= >", RATE),
        (OTHER, "<= <", BASELINE),
        (TEACHER, ">= >", OTHER),
        (OTHER, ">= >", RATE),
        (ELSEWHERE, "<= <", BASELINE),
        (RATE, "<= <", ELSEWHERE),
        (OTHER, ">= >", ELSEWHERE),
        (IN_A_FOLDER, ">= >", RATE),
        (BASELINE, "<= <", TEACHER),
        (REDUCTION, ">= >", REDUCTION),
    ],
    ids=str,
)
def test_the_student_stands_on_the_side_that_protects(left: Measured, operators: str, right: Measured | None) -> None:
    every: tuple[Operator, ...] = ("<=", "<", ">=", ">")
    assert [operator for operator in every if protects(left, operator, right)] == operators.split()


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        (RATE, ">", None, "by <= or <, and > was found"),
        (RATE, ">", None, "write `assert … <= threshold`"),
        (REDUCTION, "<=", None, "by >= or >, and <= was found"),
        (RATE, ">", BASELINE, "write `assert … <= other`"),
        (BASELINE, "<", RATE, "by >= or >, and < was found"),
        (BASELINE, "<", RATE, "write `assert … >= other`"),
        (REDUCTION_OF_BASELINE, ">", REDUCTION, "by <= or <, and > was found"),
        (REDUCTION_OF_BASELINE, ">", REDUCTION, "write `assert … <= other`"),
        (REDUCTION, "<", REDUCTION, "write `assert … >= other`"),
        (RATE, ">=", None, "use `.value`, `.low` or `.high` where you only want to look"),
    ],
)
def test_a_sentence_says_how_to_write_it(
    left: Measured, operator: Operator, right: Measured | None, expected: str
) -> None:
    assert expected in wrong_way_round(left, operator, right)
