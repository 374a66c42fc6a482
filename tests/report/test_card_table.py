"""The table in a model card has what was measured, is replaced in place, and leaves the rest of the card alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.errors import DataError
from pytest_kdmem.report.card_table import BEGIN, END, insert_table
from tests.report.any_report import HOSTILE
from tests.report.audits import PASSING, full_audit, gate, rate


def test_every_figure_of_the_student_has_a_row() -> None:
    text = insert_table("# Title\n", full_audit())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    verdict = "**Do not ship: 3 of 4 gates did not pass; 1 not run.**"
    assert text.startswith(f"# Title\n\n{BEGIN}\n## Memorization audit\n\n{verdict}\n\n| measured |")
    assert text.endswith(f"{END}\n")
    assert rows[2].startswith("| memorization rate | 1.90% \\[≤ 2.78%\\] |")
    assert [row.split(" | ")[0] for row in rows[3:]] == [
        "| inheritance ratio", "| reduction against the baseline", "| share predicted to be at risk", "| held-out loss"
    ]  # fmt: skip


def test_figures_that_gates_were_about_have_a_row_and_no_group_is_named() -> None:
    def of(metric: str, subject: str = "student", **changed: object) -> Gate:
        return gate(
            "test_a", replace(rate(1, 208, exhaustive=True), metric=metric, subject=subject, **changed), "<=", 0.0
        )

    part = {"part": "group", "part_name": "customer Smith", "parts": 4}
    sampled = "(100, 0.5)-extractable rate at temperature 0.8"
    gates = (
        of("email memorization rate"),
        of("email memorization rate"),
        of("phone memorization rate", "teacher"),
        of(sampled),
        of("memorization rate", "student on customer Smith", **part),
        of("memorization rate", "student on 16+ copies", part="copies", part_name="16+ copies"),
        of("email inherited rate", "inherited"),
        of("loss", set_name="control set"),
    )
    text = insert_table("", full_audit(gates=gates, not_run=()))
    names = [line.split(" | ")[0] for line in text.replace("\\", "").splitlines() if " 0.48% " in line]
    assert names == [
        "| email memorization rate", f"| {sampled}", "| memorization rate, worst of 4 groups",
        "| memorization rate, one tier of copies", "| email inherited rate",
    ]  # fmt: skip
    assert "**Do not ship: 8 of 8 gates did not pass.**" in text
    assert "Smith" not in text


def test_a_verdict_that_holds_and_brackets_are_told_only_where_there_are_any() -> None:
    exact = rate(1, 1000, exhaustive=True)
    audit = full_audit(
        gates=(PASSING,), not_run=(), memorization={"student": exact}, inheritance=None, risk=None, held_out={}
    )
    text = insert_table("", audit)
    assert "**May ship: its one gate passes.**" in text
    assert "in brackets" not in text
    assert "in brackets" in insert_table("", full_audit())


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_later_audit_replaces_the_table_where_it_stands(line_break: str) -> None:
    before = insert_table(f"# Title{line_break}", full_audit()) + f"{line_break}More.{line_break}"
    later = replace(full_audit(), memorization={"student": rate(1, 1000)})
    after = insert_table(before, later)
    assert after.endswith(f"{END}{line_break}{line_break}More.{line_break}")
    assert after.count(BEGIN) == 1
    assert "1.90%" not in after
    assert insert_table(after, later) == after
    assert insert_table(before, full_audit()) == before
    assert after.count("\n") == after.count(line_break)


@pytest.mark.parametrize("text", [f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\na\n{END}\n{BEGIN}\nb\n{END}\n"])
def test_marks_around_no_table_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="One table of an audit was expected"):
        insert_table(text, full_audit())


def test_a_sentence_about_the_marks_is_text() -> None:
    text = f"Between {BEGIN} and {END} stands the table.\n"
    assert insert_table(text, full_audit()).startswith(text.rstrip())


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name])
def test_a_source_is_text_and_tells_of_no_folder(name: str) -> None:
    audit = full_audit()
    assert audit.training_set is not None
    hostile = replace(audit, training_set=replace(audit.training_set, source=f"/home/name/{name}"))
    text = insert_table("", hostile)
    assert "/home/name" not in text
    [row] = [line for line in text.splitlines() if line.startswith("| memorization rate")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "<" not in row
    assert text.count(BEGIN) == text.count(END) == 1


def test_all_warnings_stand_below_the_table_and_what_was_too_short() -> None:
    warnings = ("run card of student belongs to other weights", *(f"warning {number}" for number in range(20)))
    text = insert_table("# Title\n", full_audit(warnings=warnings))
    _, title, listed = text.partition("**Warnings**\n\n")
    assert title
    assert listed == "".join(f"- {warning}\n" for warning in warnings) + f"{END}\n"
    assert "\nNot looked at: examples that were not drawn for the sample; 150 rows that are too short.\n" in text
    assert "Warnings" not in insert_table(text, full_audit(warnings=()))


@pytest.mark.parametrize(
    ("warning", "shown"),
    [
        ("no gate of /home/me/a b/train.jsonl, 4 / 5", "no gate of train.jsonl, 4 / 5"),
        ("it is not at /srv/x/card.json: broken", "it is not at card.json: broken"),
        ("read from '/srv/x/data.npy'", "read from 'data.npy'"),
        (
            "read from s3://team/x/data.npy or ~/data.npy or ../up/data.npy",
            "read from data.npy or data.npy or data.npy",
        ),
        (r"read from C:\Users\me\data.npy and/or not", "read from data.npy and/or not"),
        ("the model runs/student is small", "the model student is small"),
    ],
)
def test_warnings_in_a_card_tell_of_no_folder(warning: str, shown: str) -> None:
    audit = full_audit(warnings=(warning,))
    assert audit.training_set is not None
    audit = replace(audit, training_set=replace(audit.training_set, source="/home/me/a b/train.jsonl"))
    assert f"**Warnings**\n\n- {shown}\n" in insert_table("", audit).replace("\u2060", "")


def test_what_was_not_measured_has_no_row() -> None:
    audit: AuditResult = replace(full_audit(), inheritance=None, risk=None, held_out={})
    assert insert_table("", audit).count("\n| ") == 3
