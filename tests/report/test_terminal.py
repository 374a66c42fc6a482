"""The terminal report fits, obeys the terminal, and lets no name do more than be shown."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pytest_kdmem.audit.gates import gate_from
from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import (
    ConfirmationEntry,
    DataEntry,
    DistributionsEntry,
    Gate,
    HeldOutEntry,
    InheritanceEntry,
    ModelDistributions,
    ModelEntry,
    WitnessEntry,
)
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.report import terminal

WIDTHS = [60, 80, 120, 200]
CELLS = {
    "teacher": 1937, "baseline": 3, "student": 1, "teacher+baseline": 696,
    "teacher+student": 18, "baseline+student": 0, "all": 676, "none": 996_669,
}  # fmt: skip
# What moves the cursor, changes the terminal or reverses what is read: C0 and C1 controls, bidirectional overrides.
ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
HOSTILE = ["\x1b[2J\x1b[31mstudent", "\x1b]0;owned\x07", "\x9b31m", "a\rb", "a\nb", "a\tb", "\u202etneduts", "\x00"]


def rate(k: int, n: int, subject: str = "student", *, exhaustive: bool = False) -> Estimate:
    return estimate_proportion("memorization rate", subject, Counts(k, n), exhaustive=exhaustive)


def gate(name: str, estimate: Estimate, operator: Any, threshold: Estimate | float) -> Gate:
    return gate_from(name, f"a.py::{name}", Comparison(estimate, operator, threshold))


def render(*audits: AuditResult, **how: Any) -> str:
    return terminal.render(Report(audits), **how)


RUN = {"mode": "soft", "loss": "forward KL, T = 2", "teacher": {"digest": "3f2a71"}, "epochs": 4, "steps": 1752}
PASSING = gate("test_baseline_recites_little", rate(1, 1000, "baseline"), "<=", 0.01)
FAILING = gate("test_student_recites_little", rate(19, 1000), "<=", 0.01)


def audit(**changed: Any) -> AuditResult:
    model = ModelEntry("runs/student", None, "d", 1_400_000_000, "GPTNeoX", "transformers", "cpu", "float32", 1e-3)
    reduction = Estimate("reduction", "student", 2.43, 2.31, 2.6, None, 1_000_000, unit="factor")
    inheritance = InheritanceEntry(
        CELLS, 18, (4,), rate(18, 1955), rate(18, 695), 676, rate(676, 695), reduction, 1.3e-300
    )
    result = AuditResult(
        created="2026-01-02T03:04:05+00:00",
        versions={},
        settings={"prefix_tokens": 50, "suffix_tokens": 50, "confidence": 0.95},
        models=dict.fromkeys(("student", "teacher", "baseline", "pythia-2.8b"), model),
        training_set=DataEntry("data/train.jsonl", "d", 1_200_000, 1_000_000, 150_000, 50_000, False),
        memorization={role: rate(k, 1_000_000, role) for role, k in (("teacher", 3327), ("student", 695))},
        held_out={"student": HeldOutEntry(rate(0, 100), rate(0, 100), 17.31)},
        inheritance=inheritance,
        gates=(
            PASSING,
            FAILING,
            gate("test_" + "a_name_that_goes_on_" * 8, rate(0, 10), "<=", 0.0001),
            gate("test_nothing_to_compare", rate(0, 0), "<=", 0.01),
            gate("test_student_below_baseline", rate(18, 1000), "<=", rate(19, 1000, "baseline")),
            Gate("test_broken", "a.py::test_broken", "", None, None, None, "error", "A model was expected at runs/x."),
        ),
    )
    return replace(result, **changed)


def named(name: str) -> AuditResult:
    """An audit in which everything a user can name is called so."""
    result = audit()
    assert result.training_set is not None
    return replace(
        result,
        models={name: result.models["student"]},
        memorization={name: rate(19, 1000, name)},
        training_set=replace(result.training_set, source=f"data/{name}"),
        gates=(gate(f"test_x[{name}]", rate(19, 1000, name), "<=", 0.01),),
    )


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width: int, unicode: bool, verbosity: int) -> None:
    lines = render(audit(), width=width, unicode=unicode, verbosity=verbosity).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_wide_letters_count_twice(width: int) -> None:
    assert max(map(cell_len, render(named("学生模型" * 12), width=width).splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_model_name_is_cut_before_its_figures_are(width: int) -> None:
    name = "pythia-2.8b-deduped-step115000-of-the-second-run"
    (line,) = (line for line in render(named(name), width=width).splitlines() if line.strip().startswith("pythia"))
    for figure in ("19", "1.90%", "≤ 2.78%"):
        assert figure in line


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_over_a_million_examples_are_shown_whole(width: int) -> None:
    (line,) = (line for line in render(audit(), width=width).splitlines() if line.strip().startswith("teacher "))
    for figure in ("3 327", "0.33%", "≤ 0.34%"):
        assert figure in line


def test_the_line_of_a_gate_between_two_models_shows_the_bounds_that_were_compared() -> None:
    pair = gate("test_student_below_baseline", rate(10, 1000), "<=", rate(19, 1000, "baseline"))  # 1.69 %, from 1.24 %
    assert "not 1.69% ≤ 1.90%" not in render(audit(gates=(pair,)))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_passing_gate_has_a_line_and_every_failing_one_a_panel(width: int) -> None:
    text = render(audit(), width=width)
    lines = text.splitlines()
    assert sum(line.startswith("✓ ") for line in lines) == 1
    assert sum(line.startswith("╭─ ✗ ") for line in lines) == 5


def test_without_colour_there_is_no_escape() -> None:
    assert "\x1b" not in render(audit(), color=False)


def test_with_colour_the_text_is_the_same() -> None:
    coloured = render(audit(), color=True)
    assert "\x1b[3" in coloured
    bare = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == render(audit(), color=False).splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_without_unicode_it_is_plain_ascii_and_loses_no_sign(width: int) -> None:
    text = render(audit(), unicode=False, width=width)
    assert text.isascii()
    assert "?" not in text
    assert "<= 2.78%" in text


def test_names_beyond_ascii_do_no_harm_where_there_is_no_unicode() -> None:
    assert render(named("schüler"), unicode=False).isascii()


@pytest.mark.parametrize("width", [60, 80])
def test_the_panel_of_a_failing_gate_begins_with_the_reason(width: int) -> None:
    lines = render(audit(gates=(FAILING,)), width=width, verbosity=-1).splitlines()
    top = next(at for at, line in enumerate(lines) if line.startswith("╭"))
    inside = " ".join(line.strip("│ ") for line in lines[top + 1 :])
    assert "✗ student recites little: fail" in lines[top]
    assert inside.startswith(FAILING.reason)
    assert "→" in inside


def test_quiet_shows_only_what_failed() -> None:
    text = render(audit(gates=(PASSING, FAILING)), verbosity=-1)
    assert "memorization rate of student 1.90%" in text
    assert "baseline" not in text
    assert "T B S" not in text
    assert text.startswith("╭")
    assert text.count("╭") == 1


def test_quiet_says_nothing_where_all_is_well() -> None:
    assert render(audit(gates=(PASSING,)), verbosity=-1) == ""


def test_the_panel_of_a_failing_gate_ends_with_the_command_to_run_next() -> None:
    told = replace(FAILING, command="pytest 'a.py::test_student recites' --kdmem-report=audit.html")
    assert (
        "$ pytest 'a.py::test_student recites' --kdmem-report=audit.html"
        in render(audit(gates=(told,)), width=100).splitlines()[-2]
    )


def test_by_default_it_is_short_and_asked_for_more_it_is_whole() -> None:
    short, whole = (render(audit(), width=100, verbosity=verbosity) for verbosity in (0, 1))
    for told in ("T B S", "teacher alone", "extraction ", "engine ", "inherited: examples 4"):
        assert told not in short
        assert told in whole
    assert "inherited 0.92%" in short


def margins(**counts: tuple[int, ...]) -> DistributionsEntry:
    models = {role: ModelDistributions(found, 0, (), (), ()) for role, found in counts.items()}
    return DistributionsEntry(tuple(float(edge) for edge in range(-4, 5)), models)


def test_margins_are_drawn_on_both_sides_of_zero_each_to_its_own_scale() -> None:
    drawn = render(audit(distributions=margins(student=(0, 0, 70, 30, 1, 1, 4, 4))), width=120)
    (line,) = (line for line in drawn.splitlines() if line.strip().startswith("student "))
    assert line.endswith("    █|▂█")  # −2 to 0 holds all of the left, 2 to 4 the most of the right
    plain = render(audit(distributions=margins(student=(0, 0, 70, 30, 1, 1, 4, 4))), width=120, unicode=False)
    assert "    #|:#" in plain


def test_where_no_margin_is_known_there_is_no_column_of_them() -> None:
    assert "margins" not in render(audit(distributions=margins(student=(0,) * 8)), width=120)
    assert "margins" not in render(audit(), width=120)


def test_the_published_figures_are_shown() -> None:
    text = render(audit(), width=120, verbosity=1)
    for shown in ("3 327", "0.33%", "1 955", "0.92%", "2.43 ×", "17.31", "1.4 B", "150 000 too short", "sampled"):
        assert shown in text, shown


def test_roles_stand_in_the_order_of_the_study() -> None:
    rows = [line.split()[0] for line in render(audit(), width=120).splitlines() if " B  " in line]
    assert rows == ["teacher", "baseline", "student", "pythia-2.8b"]


def test_an_example_never_found_prints_with_its_bound() -> None:
    text = render(audit(memorization={"student": rate(0, 1000)}), width=120)
    assert re.search(r"student .* 0\.00% +≤ 0\.30%", text)


def test_an_undefined_and_an_infinite_figure_are_words() -> None:
    entry = audit().inheritance
    assert entry is not None
    endless = Estimate("reduction", "student", math.inf, 3.1, math.inf, None, 1000, unit="factor")
    text = render(audit(inheritance=replace(entry, ratio=rate(0, 0), reduction=endless)), verbosity=1)
    assert "undefined (0 of 0)" in text
    assert "infinite [≥ 3.10 ×]" in text
    assert "nan" not in text


def test_an_audit_in_which_nothing_was_scored_is_shown() -> None:
    broken = audit().gates[-1]
    text = render(AuditResult("2026", {}, {}, gates=(broken,)))
    assert "A model was expected at runs/x." in text
    assert "None" not in text


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_cannot_steer_the_terminal(name: str) -> None:
    assert not ACTIVE.search(render(named(name), width=120))


def test_a_name_cannot_steer_a_terminal_with_colours() -> None:
    assert "\x1b[2J" not in render(named("\x1b[2Jstudent"), width=120, color=True)


def test_a_name_cannot_add_a_line_that_looks_like_a_passing_gate() -> None:
    forged = gate("test_x[\n✓ student recites little  0.00% ≤ 1.00%]", rate(19, 1000), "<=", 0.01)
    assert not any(line.startswith("✓") for line in render(audit(gates=(forged,))).splitlines())


@pytest.mark.parametrize("name", ["[red]student[/red]", "[/]", "[link=http://x]", ":boom:", "\\[", "{0}", "%s"])
def test_markup_in_a_name_is_shown_as_it_stands(name: str) -> None:
    assert name in render(named(name), width=160)


@given(st.text(max_size=30), st.integers(60, 200), st.booleans(), st.booleans())
@settings(max_examples=60)
def test_no_name_breaks_the_report(name: str, width: int, unicode: bool, color: bool) -> None:
    render(named(name), width=width, unicode=unicode, color=color).encode("utf-8", "strict")


def made(run: dict[str, Any] | None, **changed: Any) -> AuditResult:
    """An audit whose student was made by a run."""
    result = audit(**changed)
    return replace(result, models=result.models | {"student": replace(result.models["student"], run=run)})


def test_a_model_of_ours_has_a_line_of_how_it_was_made() -> None:
    text = render(made(RUN), width=100, verbosity=1)
    assert "student: soft, forward KL, T = 2, teacher 3f2a…, 4 epochs, 1 752 steps\n" in text
    assert "teacher: " not in text
    alone = RUN | {"mode": "baseline", "loss": "cross-entropy", "teacher": None}
    assert "student: cross-entropy, 4 epochs, 1 752 steps\n" in render(made(alone), width=100, verbosity=1)


def confirmed(**changed: Any) -> ConfirmationEntry:
    ways = [WitnessEntry(engine, way, 192) for engine in ("transformers", "vllm") for way in ("scored", "decoded")]
    inside = {"engine": "vllm", "way": "decoded", "example_id": 7, "margin": 1e-5, "ambiguous": True}
    return replace(ConfirmationEntry(192, 12, (inside,), tuple(ways), 12, 2.0**-13, 2.0**-15, 2.1e-5), **changed)


def said_of(entry: ConfirmationEntry) -> str:
    (line,) = (
        line for line in render(audit(confirmation={"student": entry}), width=400).splitlines() if "confirmed" in line
    )
    return line


def test_who_confirmed_a_model_is_told_in_a_line() -> None:
    assert said_of(confirmed()) == (
        "student confirmed by 4 witnesses (transformers scored and decoded, vllm scored and decoded): 192 examples,"
        " 12 ambiguous, 1 disagreement inside the band; tolerance claimed 2^-13, implied 2^-15"
    )
    assert "192 examples, 12 ambiguous, no disagreement; tol" in said_of(confirmed(disagreements=()))
    assert "12 of 5 000 ambiguous" in said_of(confirmed(ambiguous=5000))
    assert said_of(confirmed(implied_tolerance=None, claimed_tolerance=0.003)).endswith(
        "claimed 0.003, implied unknown"
    )
    assert said_of(confirmed(implied_tolerance=0.0)).endswith("implied 0")


def test_a_model_that_was_not_confirmed_is_not_told_to_be() -> None:
    [inside] = confirmed().disagreements
    line = said_of(confirmed(disagreements=(inside, {**inside, "ambiguous": False})))
    assert line.startswith("student not confirmed by 4 witnesses")
    assert ", 2 disagreements, 1 outside the band;" in line


def test_a_confirmation_from_before_there_were_witnesses_is_told() -> None:
    assert said_of(ConfirmationEntry(70, 2, ())) == "student confirmed: 70 examples, 2 ambiguous, no disagreement"


def test_quiet_tells_nothing_of_confirmations() -> None:
    assert "confirmed" not in render(audit(confirmation={"student": confirmed()}), verbosity=-1)


@pytest.mark.parametrize("width", WIDTHS)
def test_confirmations_fit_the_terminal(width: int) -> None:
    text = render(audit(confirmation={"学生" * 30: confirmed()}), width=width)
    assert max(map(cell_len, text.splitlines())) <= width


def test_warnings_are_shown_and_change_no_outcome() -> None:
    warned = audit(warnings=("run card of student is of other weights",), gates=(PASSING,))
    assert "! run card of student is of other weights\n" in render(warned)
    assert render(warned, verbosity=-1) == ""


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_runs_warnings_and_several_audits_fit_the_terminal(width: int, unicode: bool) -> None:
    long = made(RUN | {"loss": "forward KL " * 30}, warnings=("other " * 40, "x" * 300), name="audits/" + "a" * 300)
    text = render(long, audit(name="b"), width=width, unicode=unicode, verbosity=1)
    assert max(map(cell_len, text.splitlines())) <= width
    assert unicode or text.isascii()


def test_several_audits_stand_under_their_names_with_a_line_over_all() -> None:
    text = render(audit(name="audits/a", gates=(PASSING,)), audit(name="audits/b", gates=(PASSING, FAILING)))
    first, second = text.index("audits/a ─"), text.index("audits/b ─")
    assert text.index("✗ student recites little") > second > text.index("✓ baseline recites little") > first
    assert text.splitlines()[-1] == "2 audits, 3 gates, not passed: 1 in audits/b"


def test_the_line_over_all_says_what_was_not_run() -> None:
    green = audit(name="audits/a", gates=(PASSING,))
    assert render(green, replace(green, name="b")).splitlines()[-1] == "2 audits, 2 gates, all pass"
    cut_short = render(green, audit(name="b", gates=(), not_run=("b.py::test",))).splitlines()[-1]
    assert cut_short == "2 audits, 1 gate, all that were held pass; 1 not run"


def test_an_audit_alone_has_no_heading() -> None:
    assert "audits/a" not in render(audit(name="audits/a"))


def test_quiet_shows_the_audits_in_which_something_failed() -> None:
    text = render(audit(name="green", gates=(PASSING,)), audit(name="red", gates=(FAILING,)), verbosity=-1)
    assert "red ─" in text
    assert "green" not in text
    both = [audit(name=name, gates=(PASSING,)) for name in "ab"]
    assert render(*both, verbosity=-1) == ""


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_the_name_of_an_audit_cannot_steer_the_terminal(name: str) -> None:
    hostile = made(RUN | {"loss": name}, name=name, warnings=(name,))
    assert not ACTIVE.search(render(hostile, audit(name="b"), width=120))


@pytest.mark.parametrize("width", [1, 4, 15])
def test_a_terminal_that_is_too_narrow_breaks_nothing(width: int) -> None:
    assert render(audit(), width=width)


@pytest.mark.parametrize("confidence", [None, "high"])
def test_a_confidence_that_is_no_number_is_not_told(confidence: Any) -> None:
    settings = {"prefix_tokens": 50, "suffix_tokens": 50, "confidence": confidence}
    assert "at high confidence" not in render(audit(settings=settings), verbosity=1)


def test_audits_without_gates_are_not_said_to_pass() -> None:
    shown = render(*(audit(gates=(), name=name) for name in "ab"))
    assert "2 audits, 0 gates" in shown
    assert "pass" not in shown.splitlines()[-1]
