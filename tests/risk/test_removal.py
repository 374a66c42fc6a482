"""Risks → rows to be left out: with their copies and near-duplicates, and never more than the budget allows."""

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
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.labels import labels_from_both_models
from pytest_kdmem.risk.predicted import apply_predictor
from pytest_kdmem.risk.removal import plan_removal, removal_candidates, rows_within


@pytest.fixture(scope="module")
def real(make_pair):
    features = extract_features(make_pair(200, 20))
    return apply_predictor(features, fit_predictor(features, labels_from_both_models(features)).predictor)


def name(at: int) -> str:
    return f"{at:032x}"


def posed(real, risks: list[float], copies: list[int], threshold: float = 0.5):
    """Distinct examples of these risks and copies; the rows of a set in which copies stand at the end."""
    n = len(risks)
    features = replace(
        real.features,
        values=real.features.values[:n],
        example_ids=np.arange(n),
        digests=pa.array([name(at) for at in range(n)]),
        copies=np.array(copies),
    )
    risk = replace(real, features=features, risks=np.array(risks), threshold=threshold)
    rows = [name(at) for at in range(n)] + [name(at) for at in range(n) for _ in range(copies[at] - 1)]
    return risk, pa.table({"example_id": range(len(rows)), "digest": rows})


def test_an_example_at_risk_goes_with_its_copies_and_near_duplicates(real):
    risk, rows = posed(real, [0.9, 0.1, 0.6, 0.2, 0.05], [2, 3, 1, 1, 1])
    near = [NearDuplicate(3, name(3), name(0)), NearDuplicate(2, name(2), name(0))]
    found = plan_removal(risk, rows, near)
    told = [(row["example_id"], row["reason"], row["of"]) for row in found.rows.to_pylist()]
    assert told == [
        (0, "at risk", name(0)),
        (2, "at risk", name(2)),  # its own risk goes before its likeness
        (3, "near-duplicate", name(0)),
        (5, "exact duplicate", name(0)),
    ]
    assert found.rows["risk"].to_pylist() == [0.9, 0.6, 0.2, 0.9]
    assert found.counts() == {"at risk": 2, "exact duplicate": 1, "near-duplicate": 1}
    assert (found.threshold, found.recall) == (0.5, real.recall)


def test_a_budget_takes_the_riskiest_first_and_says_what_risk_that_is(real):
    risk, rows = posed(real, [0.2, 0.9, 0.8, 0.1], [1, 2, 1, 5])
    found = plan_removal(risk, rows, [], max_rows=3)
    assert found.rows["example_id"].to_pylist() == [1, 2, 4]
    assert found.threshold == 0.8


def test_a_budget_too_small_for_the_riskiest_is_refused(real):
    risk, rows = posed(real, [0.2, 0.9], [1, 4])
    with pytest.raises(SpecError, match=r"3 rows are fewer than the riskiest example of train has .* --at-most"):
        plan_removal(risk, rows, [], max_rows=3)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(1, 4)), min_size=2, max_size=12), st.data())
def test_no_budget_is_exceeded_and_a_larger_one_takes_no_less(real, drawn, data):
    risk, rows = posed(real, [one for one, _ in drawn], [copies for _, copies in drawn])
    n = len(drawn)
    order = removal_candidates(risk, len(rows)).tolist()
    pairs = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=5))
    near = [NearDuplicate(a, name(a), name(b)) for a, b in pairs if a != b]
    taken = []
    for budget in range(1, len(rows) + 1):
        try:
            found = plan_removal(risk, rows, near, budget)
        except SpecError:
            assert budget < drawn[order[0]][1] + sum(copies for _, copies in drawn)
            continue
        assert 0 < len(found.rows) <= budget
        taken.append(set(found.rows["example_id"].to_pylist()))
        assert risk.features.example_ids[order[0]] in taken[-1]
    assert all(smaller <= larger for smaller, larger in pairwise(taken))
    assert taken[-1] == set(range(len(rows)))


def test_rows_of_a_share_are_counted_down(real):
    assert [rows_within(share, 100) for share in (0.07, 0.29, 0.005)] == [7, 29, 0]
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(SpecError, match="A budget must lie between"):
            rows_within(share, 100)
