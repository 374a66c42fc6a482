"""The rules by which the parts of an audit's result are merged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing import merge_rules
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import InheritanceEntry, RiskEntry
from pytest_kdmem.auditing.schema_figures import FigureEntry, with_sets_named
from tests.auditing.results import full_result
from tests.report.audits import risk_entry

EMPTY = AuditResult("2026", {}, {})
DIGESTS = {role: f"{role} digest" for role in ("teacher", "baseline", "student")}


def scored_part() -> AuditResult:
    """A part that scored all three models of the audit."""
    audit = full_result()
    return replace(
        audit, models={role: replace(audit.models["student"], digest=digest) for role, digest in DIGESTS.items()}
    )


def own_conditions() -> dict[str, str]:
    training_set = scored_part().training_set
    assert training_set is not None
    return {"training set": training_set.digest, "teacher": DIGESTS["teacher"], "baseline": DIGESTS["baseline"]}


def inheritance(**changed: Any) -> InheritanceEntry:
    entry = scored_part().inheritance
    assert entry is not None
    return replace(entry, **({"comparable_on": own_conditions(), "model_digest": DIGESTS["student"]} | changed))


def test_of_entries_with_one_key_the_first_or_the_last_part_s_is_kept() -> None:
    values = [{"a": 1, "b": 1}, {"b": 2, "c": 2}]
    assert merge_rules.first_entries(values, []) == {"a": 1, "b": 1, "c": 2}
    assert merge_rules.last_entries(values, []) == {"a": 1, "b": 2, "c": 2}


def test_the_first_value_that_is_given_is_kept() -> None:
    assert merge_rules.first_given([None, "x", "y"], []) == "x"
    assert merge_rules.first_given([(), ()], []) == ()


def test_items_are_joined_in_the_order_of_the_parts() -> None:
    assert merge_rules.in_sequence([("a",), ("b", "a")], []) == ("a", "b", "a")
    assert merge_rules.distinct_items([("a",), ("b", "a")], []) == ("a", "b")


def of_control(controls: str, value: float, label: str = "AUC, loss", **over: str) -> FigureEntry:
    rate = replace(full_result().memorization["student"], value=value)
    return FigureEntry("membership", "student", label, rate, over={"controls": controls, **over})


def test_sets_of_which_each_part_knows_one_are_named_once_all_parts_are_known() -> None:
    first, second, third = (of_control(name, value) for name, value in (("a", 0.1), ("b", 0.5), ("c", 0.75)))
    # This part knew of two sets, and named them.
    of_two = with_sets_named([first, third])
    assert [each.label for each in of_two] == ["AUC, loss, controls a", "AUC, loss, controls c"]
    merged = merge_rules.last_figures([(first,), (second,), of_two, (second,)], [])
    assert [(each.label, each.estimate.value) for each in merged] == [
        ("AUC, loss, controls a", 0.1),
        ("AUC, loss, controls b", 0.5),
        ("AUC, loss, controls c", 0.75),
    ]
    # What all parts together have only one of is named in none.
    assert merge_rules.last_figures([(of_two[0],), (first,)], []) == (first,)
    with_reference = [of_control("a", 0.1, reference="base"), of_control("a", 0.2, reference="other")]
    labels = [each.label for each in merge_rules.last_figures([[each] for each in with_reference], [])]
    assert labels == ["AUC, loss, reference base", "AUC, loss, reference other"]


def test_models_that_parts_attacked_with_different_controls_stand_in_different_rows() -> None:
    parts = [[of_control("a", 0.1)], [replace(of_control("b", 0.5), subject="baseline")]]
    labels = {each.subject: each.label for each in merge_rules.last_figures(parts, [])}
    assert labels == {"student": "AUC, loss, controls a", "baseline": "AUC, loss, controls b"}


def test_of_one_figure_over_the_training_set_alone_that_of_the_last_part_stays() -> None:
    of_groups = [replace(of_control("a", value), family="group", over=None) for value in (0.1, 0.5)]
    assert merge_rules.last_figures([[each] for each in of_groups], []) == (of_groups[1],)


def test_a_test_that_ran_in_another_part_counts_as_run() -> None:
    (gate, *_) = full_result().gates
    parts = [EMPTY, replace(EMPTY, gates=(gate,))]
    assert merge_rules.without_gate([(gate.nodeid, "a.py::test_left"), ()], parts) == ("a.py::test_left",)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "foreign",
    [
        inheritance(comparable_on=own_conditions() | {"baseline": DIGESTS["student"]}),
        inheritance(model_digest="another student"),
        inheritance(comparable_on=own_conditions() | {"training set": "another set"}),
    ],
    ids=["baseline", "student", "training set"],
)
def test_the_inheritance_of_the_audits_own_models_is_kept(foreign: InheritanceEntry, swapped: bool) -> None:
    """Whichever process ends first: its test may have compared other models."""
    values = [inheritance(), foreign]
    kept = merge_rules.audits_own(values[::-1] if swapped else values, [scored_part(), scored_part()])
    assert kept is values[0]


def test_the_risk_of_the_audits_own_models_is_kept() -> None:
    own: RiskEntry = replace(risk_entry(), comparable_on=own_conditions() | {"predictor": "any"})
    foreign = replace(own, comparable_on=own_conditions() | {"teacher": "another teacher"})
    assert merge_rules.audits_own([foreign, own], [EMPTY, scored_part()]) is own


def test_without_an_entry_of_its_own_an_audit_keeps_the_first() -> None:
    entries = [inheritance(model_digest="x"), inheritance(model_digest="y")]
    assert merge_rules.audits_own([None, *entries], [EMPTY, scored_part(), scored_part()]) is entries[0]
    assert merge_rules.audits_own([None, None], [EMPTY, EMPTY]) is None
