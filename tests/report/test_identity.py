"""Reports name what they are about, and what was and was not looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.report import html, markdown
from pytest_kdmem.report.identity import NEVER_LOOKED_AT, identity_lines, looked_at, not_looked_at, training_text
from tests.report.audits import RUN, full_audit, rate, render_audits

STUDENT = full_audit().models["student"]


def test_the_lines_name_student_training_set_date_and_versions() -> None:
    assert dict(identity_lines(full_audit(models={"student": replace(STUDENT, run=RUN)}))) == {
        "student": "runs/student at main, 70 000 parameters, digest d1",
        "made by": "soft, forward KL, T = 2, teacher 3f2a…, 4 epochs, 1 752 steps",
        "training set": "data/train.jsonl, 1 000 distinct sampled of 1 200 examples, digest d2",
        "audited": "2026-01-02 03:04 with pytest-kdmem 0.1.0, torch 2.9",
    }


def test_a_student_of_a_cleaned_set_is_said_to_have_seen_no_more_than_that() -> None:
    def lines(*, warnings: tuple[str, ...] = (), **trained_on: object) -> dict[str, str]:
        cleaned = RUN | {"training_set": RUN["training_set"] | {"cleaned_from": "f", "examples": 214} | trained_on}
        return dict(identity_lines(full_audit(models={"student": replace(STUDENT, run=cleaned)}, warnings=warnings)))

    shown = lines(source="clean.jsonl")
    assert shown["trained on"] == "clean.jsonl (214 examples), a cleaned copy of train.jsonl (1 200)"
    over = "data/train.jsonl, before cleaning, 1 000 distinct sampled of 1 200 examples, digest d2"
    assert (shown["rates over"], "training set" in shown) == (over, False)
    assert lines()["trained on"] == "a cleaned copy of train.jsonl (214 examples of 1 200)"
    # What is audited is the cleaned set itself.
    assert "training set" in lines(examples=1200)
    assert "trained on" not in lines(examples=1200)
    other = "according to its run card, student was trained on train.jsonl, and this audit's training set has other …"
    assert lines(warnings=(other,))["trained on"] == "train.jsonl (214 examples), a cleaned copy of another set"


def test_a_student_without_a_run_card_is_said_to_have_none() -> None:
    assert training_text(STUDENT) == ""
    assert _made_by(full_audit(warnings=())) == "unknown: there is no run card beside its weights"


def test_a_run_card_of_other_weights_is_not_said_to_be_missing() -> None:
    of_student, of_teacher = (f"run card of {role} belongs to other weights" for role in ("student", "teacher"))
    other_weights = "unknown: the run card beside its weights is of other weights"
    assert _made_by(full_audit(warnings=(of_student,))) == other_weights
    assert _made_by(full_audit(warnings=(of_teacher,))) == "unknown: there is no run card beside its weights"
    # A model that is both is warned of once.
    both = full_audit(models=dict.fromkeys(("teacher", "student"), STUDENT), warnings=(of_teacher,))
    assert _made_by(both) == other_weights
    unread = full_audit(warnings=("run card of student cannot be read: it is no JSON",))
    assert _made_by(unread) == "unknown: the run card beside its weights is not used, as a warning says"


def _made_by(audit: AuditResult) -> str:
    return dict(identity_lines(audit))["made by"]


def test_what_was_not_looked_at_is_counted() -> None:
    undefined = FigureEntry("class", "student", "name", rate(0, 0))
    found = FigureEntry("class", "student", "email", rate(0, 9))
    assert not_looked_at(full_audit(figures=(undefined, found))) == (
        "what 1 test would compare that did not run",
        "what 1 test would compare that compared no figure",
        "examples that were not drawn for the sample",
        "150 rows that are too short",
        "secrets of these classes: name",
        "secrets in what is sampled: they are looked for in what is recited by greedy decoding",
        NEVER_LOOKED_AT,
    )
    assert looked_at(full_audit(settings={"prefix_tokens": 50, "suffix_tokens": 40})) == (
        "3 gates that compared a figure",
        "1 000 distinct examples of train.jsonl sampled of 1 200 examples",
        "tokens 51–90 of each, decoded greedily from the first 50",
        "models: teacher, student",
    )


def test_examples_that_are_too_short_are_named_with_their_rows_and_copies() -> None:
    data = full_audit().training_set
    assert data is not None
    data = replace(data, too_short=21, too_short_distinct=6, too_short_copies=16)
    shown = "6 examples that are too short (21 rows, one stands 16 times)"
    assert shown in not_looked_at(full_audit(training_set=data))


def test_groups_tiers_and_examples_that_the_student_has_are_counted_if_nothing_of_them_was_looked_at() -> None:
    unseen = [FigureEntry("group", role, name, rate(0, 0, role)) for role in ("student", "teacher") for name in "ab"]
    quotient = replace(rate(0, 0), metric="inheritance ratio")
    figures = [*unseen, FigureEntry("group", "student", "c, inheritance ratio", quotient)]
    figures += [FigureEntry("copies", "student", "16+", rate(0, 0)), FigureEntry("copies", "student", "1", rate(0, 9))]
    teacher_set = replace(full_audit().training_set, source="data/teacher.jsonl", in_training_set=7)
    assert not_looked_at(full_audit(figures=tuple(figures), teacher_set=teacher_set))[4:] == (
        "any example of 2 groups: a, b",
        "any example of 1 tier of copies: 16+",
        "7 examples of teacher.jsonl whose suffix stands in the training set",
        NEVER_LOOKED_AT,
    )


def test_an_audit_that_looked_at_nothing_says_so() -> None:
    empty = AuditResult("2026", {}, {})
    assert dict(identity_lines(empty)) == {"audited": "2026"}
    assert not_looked_at(empty) == (NEVER_LOOKED_AT,)


@pytest.mark.parametrize("render", [html.render, markdown.render], ids=["html", "markdown"])
def test_they_stand_before_the_gates(render: object) -> None:
    text = render_audits(render, full_audit()).replace("\\", "").replace("\u00a0", " ")  # type: ignore[arg-type]
    assert text.index("digest d1") < text.index("tudent recites little")
    assert "Not looked at" in text
