"""Reports of several students begin with one table, a row for each; those of one student are as they were."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.report import html, markdown, model_card, terminal
from pytest_kdmem.report.students import COLUMNS, student_lines
from tests.auditing.test_students import run_card, student
from tests.report.any_report import HOSTILE
from tests.report.audits import FAILING, PASSING, full_audit, rate

SOFT = student("soft", run=run_card(temperature=2.0, seed=7), gates=(PASSING, PASSING))
HARD = student("hard", run=run_card(mode="hard", seed=3), gates=(PASSING, FAILING))
LEFT_OUT = AuditResult("2026", {}, {}, name="audits/a[left-out]", student="left-out", not_run=("a", "b"))
SEVERAL = Report((SOFT, HARD, LEFT_OUT))


def cells(line: Any) -> dict[str, str]:
    return dict(zip(COLUMNS, line.cells, strict=True))


def test_each_student_has_a_line_with_the_outcome_of_its_own_gates():
    soft, hard, left_out = student_lines(SEVERAL)
    assert (soft.name, soft.outcome, hard.outcome, left_out.outcome) == ("soft", "pass", "fail", "inconclusive")
    assert cells(soft) == {
        "mode": "soft",
        "temperature": "2",
        "seed": "7",
        "size": "0.1 M",
        "rate": "1.90% [≤ 2.78%]",
        "reduction": "2.43 × [≥ 2.31 ×]",
        "inherited": "44.64% [≤ 56.47%]",
        "gates": "all 2 pass",
    }
    assert cells(hard)["mode"] == "hard"
    assert (cells(hard)["temperature"], cells(hard)["seed"], cells(hard)["gates"]) == ("–", "3", "1 of 2 failed")
    assert cells(left_out)["gates"] == "2 not run"
    assert {cells(left_out)[name] for name in COLUMNS[:-1]} == {"–"}
    assert student_lines(Report((full_audit(), full_audit(name="b")))) == []


def test_a_student_is_not_passed_because_no_gate_was_held():
    for undecided in (student("a", gates=()), replace(SOFT, narrowed=True), replace(SOFT, not_run=("a",))):
        [line] = student_lines(Report((undecided,)))
        assert line.outcome == "inconclusive"
        assert cells(line)["gates"] in ("not decided", "1 not run")


def test_an_exact_figure_stands_without_a_bound():
    exact = replace(SOFT, memorization={"student": rate(19, 1000, exhaustive=True)})
    [line] = student_lines(Report((exact,)))
    assert cells(line)["rate"] == "1.90%"


def test_students_of_two_places_are_named_with_them():
    lines = student_lines(Report((SOFT, student("soft", place="audits/b"))))
    assert [line.name for line in lines] == ["audits/a[soft]", "audits/b[soft]"]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("unicode", [True, False])
def test_a_terminal_begins_with_the_table(width, unicode):
    text = terminal.render(SEVERAL, width=width, unicode=unicode)
    heading, _, soft, hard, left_out, blank = text.split("\n")[:6]
    assert heading.startswith("student")
    assert [line.split()[:2] for line in (soft, hard, left_out)] == [
        ["✓" if unicode else "+", "soft"],
        ["✗" if unicode else "x", "hard"],
        ["?", "left-out"],
    ]
    assert "all 2 pass" in soft
    assert "1 of 2 failed" in hard
    assert blank == ""
    if width >= 120:
        assert "2.43" in soft
    assert all(cell_len(line) <= width for line in text.split("\n")[:6])


def test_a_quiet_terminal_shows_only_what_failed():
    assert "all 2 pass" not in terminal.render(SEVERAL, verbosity=-1)


def test_markdown_begins_with_the_table():
    lines = markdown.render(SEVERAL).split("\n")
    assert lines[2] == "|  | student | mode | temperature | seed | size | rate | reduction | inherited | gates |"
    assert lines[4].startswith("| ✅ | soft | soft | 2 | 7 | 0.1 M | 1.90% \\[≤ 2.78%\\] |")
    assert lines[5].startswith("| ❌ | hard |")
    assert lines[6].startswith("| ⚠️ | left-out |")


def test_a_page_begins_with_the_table_and_links_to_the_audits():
    page = html.render(SEVERAL)
    table = page.partition('<h2 id="students-h">Students</h2>')[2].partition("</table>")[0]
    assert re.findall(r'<tr class="(\w+)"><th scope="row">.*?<a href="#(a\d)"><bdi>([\w-]+)</bdi></a>', table) == [
        ("pass", "a0", "soft"),
        ("fail", "a1", "hard"),
        ("inconclusive", "a2", "left-out"),
    ]
    assert page.index("students-h") < page.index('id="a0"')
    assert "students-h" not in html.render(Report((full_audit(),)))


def test_hostile_names_are_only_shown():
    """All stand in one report, and without figures, because drawing these is what takes time."""
    students = tuple(replace(LEFT_OUT, student=name, name=f"[{name}]") for name in HOSTILE)
    page = html.render(Report(students))
    table = page[: page.index('id="a0"')]
    assert table.count('<th scope="row">') == len(HOSTILE) - 1  # without a name it is an audit of no declared student
    assert "<script" not in table
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in table
    for text in (page, markdown.render(Report(students)), terminal.render(Report(students))):
        assert not {"\x1b", "\x9b", "\u202e"} & set(text)


def test_a_card_is_of_the_student_that_is_named():
    assert model_card.select_audit(SEVERAL, "hard") is HARD
    assert model_card.select_audit(SEVERAL, "audits/a[soft]") is SOFT
