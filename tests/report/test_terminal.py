"""The terminal report fits the terminal, obeys its settings, and no name in it does more than be shown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.report import terminal
from tests.report.any_report import HOSTILE, random_reports
from tests.report.audits import (
    BROKEN,
    FAILING,
    PASSING,
    RUN,
    confirmation_entry,
    gate,
    million_examples_audit,
    rate,
    render_audits,
)

WIDTHS = [60, 80, 120, 200]
# What moves the cursor, changes the terminal or reverses text: C0 and C1 controls, bidirectional overrides.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def render(*audits: AuditResult, **options: Any) -> str:
    return render_audits(terminal.render, *audits, **options)


def audit_named(name: str) -> AuditResult:
    """An audit in which everything that a user can name has this name."""
    audit = million_examples_audit()
    assert audit.training_set is not None
    return replace(
        audit,
        models={name: audit.models["student"]},
        memorization={name: rate(19, 1000, name)},
        training_set=replace(audit.training_set, source=f"data/{name}"),
        gates=(gate(f"test_x[{name}]", rate(19, 1000, name), "<=", 0.01),),
    )


def audit_with_run(run: dict[str, Any] | None, **changed: Any) -> AuditResult:
    """An audit whose student has the summary of a run card."""
    audit = million_examples_audit(**changed)
    return replace(audit, models=audit.models | {"student": replace(audit.models["student"], run=run)})


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width: int, unicode: bool, verbosity: int) -> None:
    lines = render(million_examples_audit(), width=width, unicode=unicode, verbosity=verbosity).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_wide_letters_count_twice(width: int) -> None:
    assert max(map(cell_len, render(audit_named("学生模型" * 12), width=width).splitlines())) <= width


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_long_runs_warnings_and_names_of_audits_fit_the_terminal(width: int, unicode: bool) -> None:
    warnings = ("other " * 40, "x" * 300)
    long = audit_with_run(RUN | {"loss": "forward KL " * 30}, warnings=warnings, name="audits/" + "a" * 300)
    text = render(long, million_examples_audit(name="b"), width=width, unicode=unicode, verbosity=1)
    assert max(map(cell_len, text.splitlines())) <= width
    assert unicode or text.isascii()


@pytest.mark.parametrize("width", WIDTHS)
def test_confirmations_fit_the_terminal(width: int) -> None:
    text = render(million_examples_audit(confirmation={"学生" * 30: confirmation_entry()}), width=width)
    assert max(map(cell_len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [1, 4, 15])
def test_a_terminal_that_is_too_narrow_breaks_nothing(width: int) -> None:
    assert render(million_examples_audit(), width=width)


def test_the_line_of_a_gate_between_two_models_shows_the_bounds_that_were_compared() -> None:
    pair = gate("test_student_below_baseline", rate(10, 1000), "<=", rate(19, 1000, "baseline"))  # 1.69 %, from 1.24 %
    assert "not 1.69% ≤ 1.90%" not in render(million_examples_audit(gates=(pair,)))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_passing_gate_has_a_line_and_every_failed_gate_a_panel(width: int) -> None:
    lines = render(million_examples_audit(), width=width).splitlines()
    assert sum(line.startswith("✓ ") for line in lines) == 1
    assert sum(line.startswith("╭─ ✗ ") for line in lines) == 5


@pytest.mark.parametrize("width", [60, 80])
def test_the_panel_of_a_failed_gate_begins_with_the_reason(width: int) -> None:
    lines = render(million_examples_audit(gates=(FAILING,)), width=width, verbosity=-1).splitlines()
    top = next(index for index, line in enumerate(lines) if line.startswith("╭"))
    inside = " ".join(line.strip("│ ") for line in lines[top + 1 :])
    assert "✗ student recites little: fail" in lines[top]
    assert inside.startswith(FAILING.reason)
    assert "→" in inside


def test_the_panel_of_a_failed_gate_ends_with_the_command_to_run_next() -> None:
    command = "pytest 'a.py::test_student recites' --kdmem-report=audit.html"
    lines = render(million_examples_audit(gates=(replace(FAILING, command=command),)), width=100).splitlines()
    assert f"$ {command}" in lines[-2]


SETUP_ERROR = "At most 128 positions were expected by model runs/student; set --kdmem-window-tokens=128."


def broken(name: str, **changed: str) -> Gate:
    return Gate(name, f"audits/test_a.py::{name}", "", None, None, None, "error", SETUP_ERROR, **changed)


def test_an_error_of_the_set_up_stands_once_with_all_gates_that_it_kept_from_being_evaluated() -> None:
    names = ["test_recites_little", "test_recites_less_than_the_baseline", "test_teacher_secrets_stay"]
    other = replace(broken("test_other"), reason="Another error.")
    gates = (*(broken(name, command="pytest audits --kdmem-window-tokens=128") for name in names), FAILING, other)
    text = render(million_examples_audit(gates=gates), width=80, verbosity=-1)
    assert text.count("At most 128 positions") == 1
    assert text.count("╭") == 3
    panel = text[: text.index("╰")].splitlines()
    assert panel[0].startswith("╭─ ✗ 3 gates could not be evaluated: error ")
    assert [line.strip("│ ") for line in panel[3:6]] == [
        "✗ recites little", "✗ recites less than the baseline", "✗ teacher secrets stay",
    ]  # fmt: skip
    assert "$ pytest audits --kdmem-window-tokens=128" in panel[-1]
    assert "✗ other: error" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_neither_a_verdict_nor_the_name_of_a_gate_is_cut_off(width: int) -> None:
    """The names are as long as descriptive ones are; figures are those of a gate on one group of many."""
    name = "test_no_customer_of_the_second_quarter_is_recited_more_than_another"
    passing = replace(PASSING, name=name)
    audit = million_examples_audit(
        gates=(passing, replace(FAILING, name=name)), not_run=(f"audits/releases/second/test_release.py::{name}",)
    )
    lines = render(audit, width=width).splitlines()
    words = " ".join(" ".join(line.strip("│╭╮─✗✓ ") for line in lines).split())
    assert name.removeprefix("test_").replace("_", " ") in words
    [not_run] = [line for line in lines if line.endswith(": not run")]
    assert not_run[-50:-9] == f"{name}"[-41:]
    [title] = [line for line in lines if line.startswith("╭")]
    assert ": fail " in title


def test_of_a_path_that_names_a_model_the_end_is_shown() -> None:
    lines = render(audit_named("/srv/models/of/the/team/second-student"), width=60).splitlines()
    assert any(re.match(r"(…\S*/)?second-student +19 ", line) for line in lines)


def test_without_colour_there_is_no_escape_sequence() -> None:
    assert "\x1b" not in render(million_examples_audit(), color=False)


def test_with_colour_the_text_is_the_same() -> None:
    coloured = render(million_examples_audit(), color=True)
    assert "\x1b[3" in coloured
    bare = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == render(million_examples_audit(), color=False).splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_without_unicode_the_report_is_ascii_and_loses_no_sign(width: int) -> None:
    text = render(million_examples_audit(), unicode=False, width=width)
    assert text.isascii()
    assert "?" not in text
    assert "<= 2.78%" in text


def test_a_name_beyond_ascii_does_no_harm_without_unicode() -> None:
    assert render(audit_named("schüler"), unicode=False).isascii()


def test_a_quiet_report_shows_only_failed_gates() -> None:
    text = render(million_examples_audit(gates=(PASSING, FAILING)), verbosity=-1)
    assert "memorization rate of student 1.90%" in text
    assert "baseline" not in text
    assert "T B S" not in text
    assert text.startswith("╭")
    assert text.count("╭") == 1


def test_a_quiet_report_is_empty_if_all_gates_pass() -> None:
    warned = million_examples_audit(gates=(PASSING,), warnings=("careful",))
    assert render(warned, verbosity=-1) == ""


def test_the_report_is_short_by_default_and_whole_when_verbose() -> None:
    short, whole = (render(million_examples_audit(), width=100, verbosity=verbosity) for verbosity in (0, 1))
    for text in ("T B S", "teacher alone", "extraction ", "engine ", "inherited: examples 4"):
        assert text not in short
        assert text in whole
    assert "inherited 0.92%" in short


def test_published_figures_are_shown() -> None:
    text = render(million_examples_audit(), width=120, verbosity=1)
    for figure in ("3 327", "0.33%", "1 955", "0.92%", "2.43 ×", "17.31", "1.4 B", "150 000 rows too short", "sampled"):
        assert figure in text, figure


def test_an_audit_that_scored_nothing_is_shown() -> None:
    text = render(AuditResult("2026", {}, {}, gates=(BROKEN,)))
    assert "A model was expected at runs/x." in text
    assert "None" not in text


@pytest.mark.parametrize("confidence", [None, "high"])
def test_a_confidence_that_is_no_number_is_left_out(confidence: Any) -> None:
    options = {"prefix_tokens": 50, "suffix_tokens": 50, "confidence": confidence}
    text = render(million_examples_audit(settings=options), verbosity=1)
    assert "extraction    prefix of 50 tokens, suffix of 50\n" in text


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_name_controls_the_terminal(name: str) -> None:
    hostile = replace(audit_named(name), name=name, warnings=(name,))
    hostile = replace(hostile, models={name: replace(hostile.models[name], run=RUN | {"loss": name})})
    text = render(hostile, million_examples_audit(name="b"), width=120, verbosity=1)
    assert not CONTROLS.search(text)


def test_no_name_controls_a_terminal_with_colours() -> None:
    assert "\x1b[2J" not in render(audit_named("\x1b[2Jstudent"), width=120, color=True)


def test_no_name_adds_a_line_that_looks_like_a_passing_gate() -> None:
    forged = gate("test_x[\n✓ student recites little  0.00% ≤ 1.00%]", rate(19, 1000), "<=", 0.01)
    assert not any(line.startswith("✓") for line in render(million_examples_audit(gates=(forged,))).splitlines())


@pytest.mark.parametrize("name", ["[red]student[/red]", "[/]", "[link=http://x]", ":boom:", "\\[", "{0}", "%s"])
def test_markup_in_a_name_is_shown_as_it_is(name: str) -> None:
    assert name in render(audit_named(name), width=160)


@given(st.text(max_size=30), st.integers(60, 200), st.booleans(), st.booleans())
@settings(max_examples=60)
def test_no_name_breaks_the_report(name: str, width: int, unicode: bool, color: bool) -> None:
    render(audit_named(name), width=width, unicode=unicode, color=color).encode("utf-8", "strict")


def test_no_report_breaks_the_terminal() -> None:
    for report in random_reports():
        text = terminal.render(report, width=100, verbosity=1)
        text.encode("utf-8", "strict")
        assert not CONTROLS.search(text)


def test_a_model_with_a_run_card_has_a_line_on_how_it_was_trained() -> None:
    text = render(audit_with_run(RUN), width=100, verbosity=1)
    assert "student: soft, forward KL, T = 2, teacher 3f2a…, 4 epochs, 1 752 steps\n" in text
    assert "teacher: " not in text
    fine_tuned = RUN | {"mode": "baseline", "loss": "cross-entropy", "teacher": None}
    assert "student: cross-entropy, 4 epochs, 1 752 steps\n" in render(
        audit_with_run(fine_tuned), width=100, verbosity=1
    )


def test_confirmations_are_shown_unless_quiet() -> None:
    confirmed = million_examples_audit(confirmation={"student": confirmation_entry()})
    assert "student confirmed by" in render(confirmed)
    assert "confirmed" not in render(confirmed, verbosity=-1)


def test_warnings_are_shown() -> None:
    warned = million_examples_audit(warnings=("run card of student belongs to other weights",), gates=(PASSING,))
    assert "! run card of student belongs to other weights\n" in render(warned)


def test_each_of_several_audits_has_a_heading_and_a_line_sums_them_up() -> None:
    first = million_examples_audit(name="audits/a", gates=(PASSING,))
    second = million_examples_audit(name="audits/b", gates=(PASSING, FAILING))
    text = render(first, second)
    first_heading, second_heading = text.index("audits/a ─"), text.index("audits/b ─")
    assert text.index("✗ student recites little") > second_heading
    assert second_heading > text.index("✓ baseline recites little") > first_heading
    assert text.splitlines()[-1] == "2 audits, 3 gates, not passed: 1 in audits/b"
    assert "audits/a" not in render(first)


def test_the_last_line_says_what_was_not_run() -> None:
    green = million_examples_audit(name="audits/a", gates=(PASSING,))
    assert render(green, replace(green, name="b")).splitlines()[-1] == "2 audits, 2 gates, all pass"
    interrupted = million_examples_audit(name="b", gates=(), not_run=("b.py::test",))
    assert render(green, interrupted).splitlines()[-1] == "2 audits, 1 gate, all that were run pass; 1 not run"


def test_a_quiet_report_names_the_audits_with_failed_gates() -> None:
    green = million_examples_audit(name="green", gates=(PASSING,))
    text = render(green, million_examples_audit(name="red", gates=(FAILING,)), verbosity=-1)
    assert "red ─" in text
    assert "green" not in text
    assert render(green, replace(green, name="b"), verbosity=-1) == ""


def test_audits_without_gates_are_not_called_passed() -> None:
    text = render(*(million_examples_audit(gates=(), name=name) for name in "ab"))
    assert "2 audits, 0 gates" in text
    assert "pass" not in text.splitlines()[-1]
