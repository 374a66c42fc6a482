"""Families of further figures are tables in every report that folds, and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.schema_figures import FAMILIES, FigureEntry
from pytest_kdmem.report import html, markdown, terminal
from pytest_kdmem.report.families import WORDS, family_tables
from tests.report.audits import full_audit, rate, render_audits

RENDER = {"html": html.render, "markdown": markdown.render, "terminal": terminal.render}


def test_every_family_has_a_title_and_a_meaning_in_the_order_of_reports() -> None:
    assert tuple(WORDS) == FAMILIES
    assert all(title and meaning.endswith(".") for title, meaning in WORDS.values())


def test_a_table_has_a_row_for_each_label_and_a_column_for_each_model() -> None:
    group, copies = family_tables(full_audit())
    assert (group.title, copies.title) == ("By group", "By the number of copies")
    assert copies.subjects == ("teacher", "student")
    assert [(row.label, row.examples) for row in copies.rows] == [("1", "900"), ("16+", "40")]
    assert copies.rows[0].cells == ("3.00% [≤ 4.11%]", "0.33% [≤ 0.86%]")
    assert copies.rows[1].cells == ("–", "40.00% [≤ 54.22%]")
    assert copies.notes == ("16+: of few documents",)
    assert group.rows[0].cells == ("2.43 × [≥ 2.31 ×]",)  # of a reduction a gate reads the lower bound


def test_an_audit_without_figures_has_no_table() -> None:
    audit = full_audit(figures=())
    assert not family_tables(audit)
    for render in RENDER.values():
        assert "By the number" not in render_audits(render, audit)


@pytest.mark.parametrize("form", RENDER)
def test_every_report_shows_each_family(form: str) -> None:
    options = {"verbosity": 1, "width": 100} if form == "terminal" else {}
    text = render_audits(RENDER[form], full_audit(), **options).replace("\\", "")
    text = text.replace("\u00a0", " ")
    for shown in ("By group", "By the number of copies", "3.00% [≤ 4.11%]", "0.33% [≤ 0.86%]", "of few documents"):
        assert shown in text
    before = {"html": '<details class="family"><summary>', "markdown": "<details><summary>", "terminal": ""}[form]
    assert f"{before}By group" in text


def test_the_terminal_folds_them_away_unless_it_is_verbose() -> None:
    assert "By group" not in render_audits(terminal.render, full_audit())


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_narrow_terminal_keeps_the_student(width: int) -> None:
    text = render_audits(terminal.render, full_audit(), verbosity=1, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "40.00% [≤ 54.22%]" in text or width < 40


def test_models_whose_names_begin_alike_keep_their_own_columns() -> None:
    figures = tuple(FigureEntry("copies", f"{'long/' * 9}{name}", "1", rate(k, 10)) for name, k in (("a", 1), ("b", 2)))
    text = render_audits(terminal.render, full_audit(figures=figures), verbosity=1, width=120)
    assert "10.00%" in text
    assert "20.00%" in text


@pytest.mark.parametrize("form", RENDER)
def test_of_very_many_rows_the_first_are_shown_and_the_rest_is_counted(form: str) -> None:
    figures = tuple(FigureEntry("group", "student", f"group {number}", rate(1, 9)) for number in range(5000))
    options = {"verbosity": 1} if form == "terminal" else {}
    text = render_audits(RENDER[form], full_audit(figures=figures), **options).replace("\u00a0", " ")
    assert "group 39" in text
    assert "group 4999" not in text
    assert "5 000" in text or "4 800 more" in text or "4 960 more" in text


@pytest.mark.parametrize("form", RENDER)
def test_no_label_is_markup_or_a_command(form: str) -> None:
    hostile = "<script>x</script>\x1b[31m|`\n::error::no"
    entry = FigureEntry("group", hostile, hostile, replace(rate(1, 9), subject=hostile), hostile)
    options = {"verbosity": 1, "width": 200} if form == "terminal" else {}
    text = render_audits(RENDER[form], full_audit(figures=(entry,)), **options)
    assert "\x1b" not in text
    assert "\n::error" not in text
    assert form == "terminal" or "<script>x" not in text


def test_a_note_of_several_labels_is_told_once() -> None:
    note = "it needs a model"
    figures = tuple(FigureEntry("class", "student", f"class {number}", rate(1, 9), note) for number in range(7))
    (table,) = family_tables(full_audit(figures=figures))
    assert table.notes == ("class 0, class 1, class 2, class 3, class 4 and 2 more: it needs a model",)


def test_a_long_label_goes_on_in_the_next_line_of_a_terminal() -> None:
    label = "common (100, 0.5), of what is recited by a model of this name"
    figures = tuple(FigureEntry("specific", role, label, rate(1, 9)) for role in ("teacher", "baseline", "student"))
    text = render_audits(terminal.render, full_audit(figures=figures), verbosity=1, width=80)
    row, *below = text.partition("Memorized or merely predictable")[2].split("──\n", 1)[1].splitlines()
    assert f"{row.split('  ')[0]} {below[0]}" == label
