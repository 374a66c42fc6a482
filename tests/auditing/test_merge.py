"""No field of a result is lost when the parts that several processes hold of an audit are merged."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from pytest_kdmem.auditing.merge import merge
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import in_order
from tests.auditing.results import comparable, full_result
from tests.report.audits import complete_audit

COMPLETE = replace(
    complete_audit(),
    teacher_set=full_result().training_set,
    other_sets={"student": full_result().training_set},
    memorized_examples={"student": (3, 8)},
    ambiguous_examples={"student": (9,)},
    narrowed=True,
    student="soft",
    figures=in_order(complete_audit().figures),
)
# Later than COMPLETE, of which the earlier date counts.
EMPTY = AuditResult("9999", {}, {})


@dataclass(frozen=True)
class WithForgottenField(AuditResult):
    """A result with a field that somebody added without a rule."""

    added: int = 0


def test_every_field_has_a_value_that_could_be_lost() -> None:
    assert [field.name for field in fields(COMPLETE) if not getattr(COMPLETE, field.name)] == []


@pytest.mark.parametrize("name", [field.name for field in fields(AuditResult)])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_field_that_one_part_alone_has_survives(name: str, position: int) -> None:
    parts = [EMPTY, EMPTY, EMPTY]
    parts[position] = replace(EMPTY, **{name: getattr(COMPLETE, name)})
    assert comparable(getattr(merge(parts), name)) == comparable(getattr(COMPLETE, name))


def test_a_field_without_a_rule_cannot_be_merged() -> None:
    parts = [WithForgottenField("2026", {}, {}, added=1), WithForgottenField("2026", {}, {})]
    with pytest.raises(TypeError, match="A rule to merge added was expected"):
        merge(parts)


def test_a_single_part_is_returned_as_it_is() -> None:
    assert merge([COMPLETE]) is COMPLETE
