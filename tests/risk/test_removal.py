"""Examples are removed with their copies and near-duplicates, and never more rows than the budget allows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.near_duplicates import NearDuplicate
from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.removal import plan_removal, removal_candidates, rows_within
from pytest_kdmem.risk.short_copies import ShortCopies


def digest(number: int) -> str:
    return f"{number:032x}"


def with_risks(predicted, risks: list[float], copies: list[int], threshold: float = 0.5):
    """Distinct examples of these risks and copies; the rows of a set in which copies stand at the end."""
    n = len(risks)
    features = replace(
        predicted.features,
        values=predicted.features.values[:n],
        example_ids=np.arange(n),
        digests=pa.array([digest(number) for number in range(n)]),
        copies=np.array(copies),
    )
    risk = replace(predicted, features=features, risks=np.array(risks), threshold=threshold)
    rows = [digest(number) for number in range(n)] + [
        digest(number) for number in range(n) for _ in range(copies[number] - 1)
    ]
    return risk, pa.table({"example_id": range(len(rows)), "digest": rows})


def test_an_example_at_risk_goes_with_its_copies_and_near_duplicates(predicted):
    risk, rows = with_risks(predicted, [0.9, 0.1, 0.6, 0.2, 0.05], [2, 3, 1, 1, 1])
    near = [NearDuplicate(3, digest(3), digest(0)), NearDuplicate(2, digest(2), digest(0))]
    removal = plan_removal(risk, rows, near)
    reasons = [(row["example_id"], row["reason"], row["of"]) for row in removal.rows.to_pylist()]
    assert reasons == [
        (0, "at risk", digest(0)),
        (2, "at risk", digest(2)),  # its own risk is the reason, not that it resembles another
        (3, "near-duplicate", digest(0)),
        (5, "exact duplicate", digest(0)),
    ]
    assert removal.rows["risk"].to_pylist() == [0.9, 0.6, 0.2, 0.9]
    assert removal.counts() == {
        "at risk": 2,
        "exact duplicate": 1,
        "near-duplicate": 1,
        "too short, exact duplicate": 0,
    }
    assert (removal.threshold, removal.recall) == (0.5, predicted.recall)


def test_a_budget_removes_the_riskiest_first_and_reports_their_least_risk(predicted):
    risk, rows = with_risks(predicted, [0.2, 0.9, 0.8, 0.1], [1, 2, 1, 5])
    removal = plan_removal(risk, rows, [], max_rows=3)
    assert removal.rows["example_id"].to_pylist() == [1, 2, 4]
    assert removal.threshold == 0.8


def test_copies_of_what_is_too_short_go_behind_the_riskiest_and_within_the_budget(predicted):
    risk, rows = with_risks(predicted, [0.9, 0.8, 0.2], [1, 1, 1])
    short = [ShortCopies(2, ((11, digest(8)), (12, digest(8)))), ShortCopies(1, ((14, digest(9)),))]
    removed = [
        plan_removal(risk, rows, [], budget, short).rows["example_id"].to_pylist() for budget in (1, 2, 3, 4, 5, 6)
    ]
    assert removed == [[0], [0], [0, 11, 12], [0, 11, 12, 14], [0, 1, 11, 12, 14], [0, 1, 2, 11, 12, 14]]
    last = plan_removal(risk, rows, [], short_copies=short)
    assert last.rows.to_pylist()[-1] == {
        "example_id": 14,
        "digest": digest(9),
        "reason": "too short, exact duplicate",
        "risk": None,
        "of": digest(9),
    }
    assert last.counts()["too short, exact duplicate"] == 3


def test_a_short_near_duplicate_of_what_is_at_risk_goes_with_all_its_copies(predicted):
    risk, rows = with_risks(predicted, [0.9, 0.2], [1, 1])
    rows = pa.concat_tables([rows, pa.table({"example_id": [2, 3], "digest": [digest(7)] * 2})])
    near = [NearDuplicate(2, digest(7), digest(0))]
    removal = plan_removal(risk, rows, near, short_copies=[ShortCopies(1, ((3, digest(7)),))])
    assert removal.rows["example_id"].to_pylist() == [0, 2, 3]
    assert set(removal.rows["reason"].to_pylist()[1:]) == {"near-duplicate"}


def test_a_budget_too_small_for_the_riskiest_is_refused(predicted):
    risk, rows = with_risks(predicted, [0.2, 0.9], [1, 4])
    with pytest.raises(SpecError, match=r"3 rows are fewer than the riskiest example of train has .* --at-most"):
        plan_removal(risk, rows, [], max_rows=3)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(1, 4)), min_size=2, max_size=12), st.data())
def test_no_budget_is_exceeded_and_a_larger_one_removes_no_less(predicted, examples, data):
    risk, rows = with_risks(predicted, [value for value, _ in examples], [copies for _, copies in examples])
    n = len(examples)
    order = removal_candidates(risk, len(rows)).tolist()
    pairs = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=5))
    near = [NearDuplicate(first, digest(first), digest(second)) for first, second in pairs if first != second]
    removed = []
    for budget in range(1, len(rows) + 1):
        try:
            removal = plan_removal(risk, rows, near, budget)
        except SpecError:
            assert budget < examples[order[0]][1] + sum(copies for _, copies in examples)
            continue
        assert 0 < len(removal.rows) <= budget
        removed.append(set(removal.rows["example_id"].to_pylist()))
        assert risk.features.example_ids[order[0]] in removed[-1]
    assert all(smaller <= larger for smaller, larger in pairwise(removed))
    assert removed[-1] == set(range(len(rows)))


def test_rows_within_a_share_are_rounded_down():
    assert [rows_within(share, 100) for share in (0.07, 0.29, 0.005)] == [7, 29, 0]
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(SpecError, match="A budget must lie between"):
            rows_within(share, 100)
