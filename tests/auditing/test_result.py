"""The result of an audit is strict JSON, and comes back as it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from tests.auditing.estimates import rate, reduction
from tests.auditing.results import assert_same, full_result, through_json


def test_every_part_comes_back_as_it_went() -> None:
    assert_same(through_json(full_result()), full_result())


def test_a_result_of_nothing_comes_back_too() -> None:
    bare = AuditResult("2026-01-02", {}, {})
    assert_same(through_json(bare), bare)


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.floats(0, 1), st.integers(0, 9), st.sampled_from(["pass", "fail"])),
        max_size=4,
    ),
    st.lists(st.integers(0, 10**12), max_size=4),
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3),
)
@settings(max_examples=50)
def test_any_names_and_figures_come_back(gates: list[Any], ids: list[int], given_settings: dict[str, Any]) -> None:
    made = tuple(Gate(name, name, "rate", rate(k, 9), "<=", limit, outcome, name) for name, limit, k, outcome in gates)
    result = replace(
        full_result(), gates=made, memorized_examples={"student": tuple(ids)}, settings=given_settings, confirmation={}
    )
    assert_same(through_json(result), result)


def test_the_layout_is_that_which_users_read() -> None:
    content = full_result().to_json()
    assert content["schema_version"] == 2
    assert {"created", "versions", "settings", "models", "training_set", "memorization", "inheritance", "gates"} <= set(
        content
    )
    assert {"source", "revision", "digest", "parameters"} <= set(content["models"]["student"])
    assert {"source", "digest", "examples", "too_short"} <= set(content["training_set"])
    assert {"value", "low", "high", "k", "n", "exhaustive", "confidence", "ambiguous"} <= set(
        content["memorization"]["student"]
    )
    assert {"cells", "inherited", "ratio", "share", "easy", "easy_share", "reduction", "p_value"} <= set(
        content["inheritance"]
    )
    assert {"name", "nodeid", "metric", "estimate", "threshold", "outcome"} <= set(content["gates"][0])


def test_an_infinite_reduction_comes_back_infinite() -> None:
    entry = full_result().inheritance
    assert entry is not None
    back = through_json(
        replace(full_result(), inheritance=replace(entry, reduction=reduction(math.inf, 3.1, math.inf)))
    )
    assert back.inheritance is not None
    assert (back.inheritance.reduction.value, back.inheritance.reduction.low) == (math.inf, 3.1)


def test_an_undefined_figure_comes_back_undefined() -> None:
    back = through_json(replace(full_result(), memorization={"student": rate(0, 0)}))
    assert math.isnan(back.memorization["student"].value)


@pytest.mark.parametrize("figure", [math.inf, math.nan])
def test_figures_beside_the_estimates_are_strict_json_too(figure: float) -> None:
    entry = full_result().held_out["student"]
    json.dumps(
        replace(full_result(), held_out={"student": replace(entry, perplexity=figure)}).to_json(), allow_nan=False
    )
    (gate, *_) = full_result().gates
    json.dumps(replace(full_result(), gates=(replace(gate, threshold=figure),)).to_json(), allow_nan=False)


def test_what_does_not_pass_lets_no_model_ship() -> None:
    assert [gate.outcome for gate in full_result().failed] == ["fail", "error"]
