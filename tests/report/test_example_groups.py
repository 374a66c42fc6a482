"""Lists of examples name the groups of each where the training set has a column of them, as text alone."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.report import markdown, terminal
from pytest_kdmem.report.example_groups import named_examples
from tests.report.audits import audit_with_examples, render_audits


def test_a_number_stands_with_its_groups_if_they_are_known() -> None:
    audit = audit_with_examples()
    examples = audit.examples
    assert examples is not None
    first, second, *_ = examples.example_id
    groups = (("acme", "beta"), (), *((),) * (len(examples.example_id) - 2))
    assert named_examples(replace(examples, groups=groups), (first, second, 10**9)) == [
        f"{first} (acme, beta)", str(second), str(10**9)
    ]  # fmt: skip
    assert named_examples(examples, (first,)) == named_examples(None, (first,)) == [str(first)]


def test_reports_that_list_numbers_name_the_groups() -> None:
    audit = audit_with_examples()
    examples, inheritance = audit.examples, audit.inheritance
    assert examples is not None
    assert inheritance is not None
    number = inheritance.inherited_examples[0]
    groups = tuple(("<b>acme</b>",) if each == number else () for each in examples.example_id)
    audit = replace(audit, examples=replace(examples, groups=groups))
    shown = render_audits(markdown.render, audit)
    assert f"inherited examples: {number} (" in shown
    assert "<b>acme" not in shown  # a name is only text
    assert f"inherited: examples {number} (<b>acme</b>)" in render_audits(terminal.render, audit, verbosity=1)
