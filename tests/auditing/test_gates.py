"""Comparisons become gates; a test that passes without showing anything is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.auditing.gates import explain, gate_from, unheld_reason, vacuous_warning
from pytest_kdmem.auditing.regression.accepted import Accepted
from pytest_kdmem.auditing.regression.verdict import RegressionVerdict
from pytest_kdmem.metrics.estimate import Comparison
from pytest_kdmem.metrics.recorder import Refused
from pytest_kdmem.metrics.subsets import Subset, Subsets
from pytest_kdmem.metrics.verdict import Verdict
from tests.auditing.estimates import rate, reduction, tracked_rate

HOLDS = Comparison(rate(3, 1000), "<=", 0.01)
FAILS = Comparison(rate(19, 1000), "<=", 0.01)
UNDECIDED = Comparison(rate(9, 1000), "<=", 0.01)  # 0.90 %, bounds 0.47 % and 1.56 %
SHOWN = "memorization rate of student 1.90% [≤ 2.78%] (19 of 1 000) > 1.00%"


def test_a_gate_holds_both_sides_the_outcome_and_its_sentences() -> None:
    gate = gate_from("test_rate", "a.py::test_rate", FAILS)
    assert (gate.name, gate.nodeid, gate.metric) == ("test_rate", "a.py::test_rate", "memorization rate")
    assert (gate.estimate, gate.operator, gate.threshold) == (FAILS.estimate, "<=", 0.01)
    assert (gate.outcome, gate.reason) == ("fail", SHOWN)
    assert gate.next_step.endswith(".")


def test_a_gate_keeps_the_verdict_that_came_with_its_comparison() -> None:
    comparison = Comparison(rate(0, 1000, exhaustive=True), "<=", 1.0, Verdict("inconclusive", defined=False))
    assert gate_from("t", "a.py::t", comparison).outcome == "inconclusive"


def test_a_test_passes_only_if_every_comparison_that_it_made_holds() -> None:
    assert unheld_reason([]) == ""
    assert unheld_reason([HOLDS, HOLDS]) == ""
    must_hold = ": every comparison of an estimate is a gate of its audit, and this one does not hold"
    assert unheld_reason([HOLDS, FAILS]) == f"{SHOWN}{must_hold}"
    for comparisons in ([UNDECIDED], [HOLDS, UNDECIDED], [UNDECIDED, HOLDS]):
        assert unheld_reason(comparisons).endswith(must_hold)


@pytest.mark.parametrize(
    ("comparison", "written"),
    [
        (Comparison(rate(19, 1000), ">=", 0.1), "<= threshold"),
        (Comparison(rate(900, 1000), ">", 0.1), "<= threshold"),
        (Comparison(reduction(1.5, 1.4, 1.6), "<=", 2.0), ">= threshold"),
        (Comparison(rate(900, 1000), ">", rate(19, 1000, subject="baseline")), "<= other"),
        (Comparison(rate(19, 1000, subject="baseline"), "<", rate(900, 1000)), ">= other"),
    ],
    ids=["false", "true", "reduction", "more than the baseline", "baseline less"],
)
def test_a_comparison_the_wrong_way_round_speaks_for_nothing(comparison: Comparison, written: str) -> None:
    must_hold = "in an audit every comparison of an estimate is a gate and must hold, so write"
    assert f"{comparison.operator} was found: {must_hold} `assert … {written}`" in unheld_reason([comparison])


def test_a_refused_comparison_proves_nothing() -> None:
    assert unheld_reason([HOLDS, Refused("an estimate equals no number")]) == "an estimate equals no number"


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_comparison_with_an_accepted_figure_that_does_not_pass_proves_nothing(outcome: str) -> None:
    verdict = RegressionVerdict(outcome)  # type: ignore[arg-type]
    worse = Comparison(rate(0, 1000, exhaustive=True), "<=", 1.0, verdict)  # which the limit alone would let pass
    assert unheld_reason([HOLDS, worse]).endswith("and this one does not hold")


@pytest.mark.parametrize(
    ("left", "operator", "right"),
    [(rate(19, 1000), "<=", 0.01), (0.01, ">=", rate(19, 1000)), (np.float32(0.01), ">=", rate(19, 1000))],
    ids=["estimate first", "threshold first", "NumPy"],
)
def test_a_failed_assert_is_explained_whichever_side_its_estimate_stands_on(
    left: object, operator: str, right: object
) -> None:
    lines = explain(operator, left, right)
    assert lines is not None
    assert lines[0] == SHOWN
    assert len(lines) == 2


def test_a_failed_assert_of_two_estimates_reads_from_the_left() -> None:
    lines = explain("<", rate(18, 1000), rate(19, 1000, subject="baseline"))
    assert lines is not None
    assert lines[0].startswith("memorization rate of student 1.80%")
    assert lines[0].endswith("of baseline")


@pytest.mark.parametrize("accepted_first", [False, True])
def test_a_failed_assert_against_accepted_figures_is_explained(accepted_first: bool) -> None:
    before, now = tracked_rate(range(40), 5000), tracked_rate(range(60), 5000, model="b")
    accepted = Accepted([before], lambda: [now])
    sides = (accepted, ">=", now.estimate) if accepted_first else (now.estimate, "<=", accepted)
    lines = explain(sides[1], sides[0], sides[2])
    assert lines is not None
    assert lines[0].startswith("memorization rate of student 1.20% (60 of 5 000) worse than accepted (0.80%): 20 newly")
    assert "--kdmem-update-baseline-file" in lines[1]


@pytest.mark.parametrize(
    ("operator", "left", "right"),
    [
        ("==", rate(1, 9), 0.5),
        ("in", rate(1, 9), [1]),
        ("<=", 1, 2),
        ("<=", rate(1, 9), "0.5"),
        ("<=", [1], rate(1, 9)),
    ],
    ids=["equality", "membership", "numbers", "a word", "a list"],
)
def test_what_compares_no_estimate_is_left_to_pytest(operator: str, left: object, right: object) -> None:
    assert explain(operator, left, right) is None


def test_a_failed_assert_of_parts_is_explained_by_each_of_its_gates() -> None:
    flags = np.array([True, True, False, False])
    none = np.zeros(4, dtype=bool)
    parts = {name: Subset(name, np.arange(4), *[kept] * 3, True, 0.95) for name, kept in (("a", flags), ("b", none))}
    subsets = Subsets("group", parts)
    for operator, left, right in (("<=", subsets, 0.25), (">=", 0.25, subsets)):
        lines = explain(operator, left, right)
        assert lines is not None
        assert lines[0] == "memorization rate of a 50.00% (2 of 4) > 25.00%"
        assert sum("memorization rate" in line for line in lines) == 1
    lines = explain("<", subsets, subsets)
    assert lines is not None
    assert len([line for line in lines if line.startswith("memorization rate of ")]) == 2
    assert explain("==", subsets, 0.25) is None


def test_a_comparison_of_all_parts_is_one_gate_of_the_part_that_fails_most() -> None:
    parts = {name: rate(k, n, subject=name) for name, k, n in (("few", 0, 2), ("some", 300, 1000), ("many", 900, 1000))}
    worst, *others = (Comparison(replace(parts[name], part="group"), "<=", 0.2) for name in ("few", "many", "some"))
    made = gate_from("t", "a.py::t", replace(worst, further=tuple(others), parts_not_held=7))
    assert made.estimate is not None
    assert (made.outcome, made.estimate.subject, made.parts_not_held) == ("fail", "many", 7)
    assert [(part.estimate.subject, part.outcome) for part in made.further_parts] == [
        ("some", "fail"), ("few", "inconclusive")
    ]  # fmt: skip
    assert [part.reason.partition(" of ")[2][:4] for part in made.further_parts] == ["some", "few "]
    assert unheld_reason([replace(worst, further=tuple(others))]).startswith("memorization rate of many")
    assert gate_from("t", "a.py::t", Comparison(parts["few"], "<=", 1.0)).further_parts == ()


def test_a_passing_assert_needs_no_next_step() -> None:
    lines = explain("<=", rate(3, 1000), 0.01)
    assert lines is not None
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("comparison", "warning"),
    [
        (Comparison(rate(19, 1000), "<=", 1.0), "t cannot fail: no memorization rate is above 100.00%"),
        (Comparison(reduction(1.5, 1.4, 1.6), ">=", 0.0), "t cannot fail: no reduction is below 0.00 ×"),
        (Comparison(rate(19, 1000), "<", 1.0), ""),
        (Comparison(rate(19, 1000), "<=", 0.99), ""),
        (Comparison(rate(19, 1000), "<=", rate(1000, 1000, subject="baseline")), ""),
    ],
)
def test_a_gate_that_no_result_could_fail_is_warned_of(comparison: Comparison, warning: str) -> None:
    assert vacuous_warning(gate_from("t", "a.py::t", comparison)) == warning
