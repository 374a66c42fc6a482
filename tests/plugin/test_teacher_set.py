"""What only the teacher saw, through the real plugin: figures over it, and every way in which it is not that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem import audit
from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.audit_project import NOISE, PREFIX, SUFFIX, further_warnings
from tests.plugin.audit_folders import extend, fixture
from tests.specs.any_card import card

# Rows of the cast: what the student was trained on, what it was not, and what of it stands among the first again.
STUDENTS, TEACHERS, HELD = [6, *range(12, 20)], [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11], [12, 13, 6]
GATES = """
def test_rate(memorization, student, teacher_set):
    assert memorization(student, teacher_set).rate <= 0.4

def test_less_than_fine_tuning(memorization, student, baseline, teacher_set):
    assert memorization(student, teacher_set).rate <= memorization(baseline, teacher_set).rate

def test_ratio(inheritance, teacher_set):
    assert inheritance(training_set=teacher_set).ratio <= 0.1
"""
RATE = "def test_rate(memorization, student, teacher_set): assert memorization(student, teacher_set).rate <= 0.4"


@pytest.fixture
def project(unscored_project: Any, one_store: Path) -> Any:
    declare(unscored_project)
    return unscored_project


def declare(project: Any, teacher_set: str = 'TrainingSet("teacher.npy")', **changed: Any) -> None:
    rows = project.cast.rows
    np.save(project.path / "train.npy", rows[STUDENTS])
    np.save(project.path / "teacher.npy", rows[[*TEACHERS, *HELD, 0, 10]])
    project.declare(**{"data": 'TrainingSet("train.npy")', **changed})
    extend(project, fixture("teacher_set", f"return {teacher_set}"))


def recited(project: Any, role: str) -> set[int]:
    return project.cast.recited_by(role) & set(TEACHERS)


def figures(report: Any) -> dict[tuple[str, str], Any]:
    return {(each.label, each.subject): each.estimate for each in report.figures if each.family == "teacher_set"}


def test_figures_are_of_what_the_student_did_not_see(project: Any) -> None:
    project.gates(GATES)
    reports = [f"--kdmem-report=audit.{ending}" for ending in ("json", "html", "md")]
    result = project.run(NOISE, "-v", *reports)
    result.assert_outcomes(passed=2, failed=1)
    report = project.report("audit.json")
    shown = figures(report)
    for role in ("teacher", "baseline", "student"):
        assert (shown["recited", role].k, shown["recited", role].n) == (len(recited(project, role)), len(TEACHERS))
    teacher, baseline, student = (recited(project, role) for role in ("teacher", "baseline", "student"))
    ratio = shown["inheritance ratio", "student"]
    assert (ratio.k, ratio.n) == (len(teacher & student - baseline), len(teacher - baseline)) == (1, 4)
    assert shown["reduction", "student"].value == len(baseline) / len(student)
    assert {figure.note for figure in report.figures if figure.label == "recited"} == {
        "3 of 14 distinct examples of teacher.npy are left out, as their suffix stands in the training set of the"
        " student."
    }
    assert (report.teacher_set.distinct, report.teacher_set.in_training_set) == (len(TEACHERS), 3)
    assert report.teacher_set.duplicates == 2
    assert report.inheritance is None  # of the audit's own training set
    assert [gate.reason.split(" 2")[0] for gate in report.gates if gate.outcome == "fail"] == [
        "inheritance ratio of student on teacher set"
    ]
    result.stdout.fnmatch_lines(["*teacher set*teacher.npy: 11 distinct, 2 copies, 3 left out as in the training set*"])
    for ending in ("html", "md"):
        text = (project.path / f"audit.{ending}").read_text()
        assert "3 left out as in the training set" in text
        assert "Absent from the student" in text


@pytest.mark.parametrize("data", ["text", "sample", "tokens", "parquet"])
def test_what_is_left_out_depends_on_no_form_and_no_sample(project: Any, data: str) -> None:
    texts = [project.cast.texts[row] for row in STUDENTS]
    lines = [{"text": f"{text.upper()}."} for text in texts]
    (project.path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    declared = {
        "text": 'TrainingSet("train.jsonl")',
        "sample": 'TrainingSet("train.npy", sample=1)',
        "tokens": 'TrainingSet("longer.npy")',
        "parquet": 'TrainingSet("train.parquet")',
    }[data]
    rows = project.cast.rows[STUDENTS]
    np.save(project.path / "longer.npy", np.hstack([rows[:, 5:], rows[:, :9]]))
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([{"input_ids": row.tolist()} for row in rows]), project.path / "train.parquet")
    declare(project, data=declared)
    project.gates(RATE)
    assert project.run(NOISE, "--kdmem-report=audit.json").ret == pytest.ExitCode.OK
    report = project.report("audit.json")
    assert (report.teacher_set.in_training_set, figures(report)["recited", "student"].k) == (3, 4)


def test_a_sample_of_it_is_drawn_from_all_and_what_is_held_is_left_out(project: Any) -> None:
    declare(project, 'TrainingSet("teacher.npy", sample=12)')
    project.gates("def test_rate(memorization, student, teacher_set): memorization(student, teacher_set).rate <= 0.99")
    project.run(NOISE, "--kdmem-report=audit.json")
    report = project.report("audit.json")
    entry, rate = report.teacher_set, figures(report)["recited", "student"]
    assert not entry.exhaustive
    assert entry.distinct + entry.in_training_set == 12
    assert rate.n == entry.distinct
    assert rate.high > rate.value


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (STUDENTS, "is the training set; give what the student did not see"),
        (HELD, "the suffixes of all 3 stand in training set"),
    ],
)
def test_a_set_that_the_student_saw_is_refused(project: Any, rows: list[int], reason: str) -> None:
    np.save(project.path / "teacher.npy", project.cast.rows[rows])
    project.gates(RATE)
    result = project.run(NOISE)
    assert result.ret == 1
    [failure] = project.failures(result)
    assert reason in failure.replace("`", "") or reason in result.stdout.str()
    project.gates(
        """
        def test_rate(memorization, student, teacher_set):
            assert memorization(student).rate <= 1
            try:
                assert memorization(student, teacher_set).rate <= 0.4
            except Exception:
                pass
        """
    )
    assert project.run(NOISE).ret == 1


def test_risk_is_not_predicted_of_it(project: Any) -> None:
    project.gates(
        """
        def test_risk(predicted_risk, student, teacher_set):
            assert predicted_risk(teacher_set, labels_from=student).share_at_risk <= 0.9
        """
    )
    project.run(NOISE).stdout.fnmatch_lines(["*is the teacher set, which no student sees: predict it of the*"])


def with_card(project: Any, role: str, data: str) -> Path:
    """A copy of a model of the cast with a card that says on what it was trained."""
    folder = Path(shutil.copytree(getattr(project.cast, role), project.path / f"{role}-{data}"))
    declared = TrainingSet(str(project.path / data))
    made = card(
        weights=weights_digest(folder),
        mode="baseline" if role != "student" else "soft",
        teacher=None,
        training_set=DataOrigin(str(project.path / data), training_fingerprint(declared), 9, 180),
        extraction={"prefix_tokens": PREFIX, "suffix_tokens": SUFFIX, "window_tokens": PREFIX + SUFFIX},
    )
    write_run_card(made, folder)
    return folder


@pytest.mark.parametrize("role", ["student", "baseline"])
def test_a_model_that_was_trained_on_it_by_its_card_is_refused_whatever_is_accepted(project: Any, role: str) -> None:
    declare(project, **{role: with_card(project, role, "teacher.npy")})
    project.gates(RATE.replace("student", role))
    result = project.run(NOISE, f"--kdmem-accept-provenance={role}:training-set")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [f"*A {role} that was never trained on the teacher set was expected, and according to its*"]
    )
    declare(project, **{role: with_card(project, role, "train.npy")})
    assert project.run(NOISE).ret == (0 if role == "student" else 1)


@pytest.mark.parametrize(
    ("data", "warning"),
    [
        ("teacher.npy", ""),
        ("train.npy", "which is the training set: it never saw the teacher set"),
        ("all.npy", "which is not the teacher set: whether it saw the teacher set is unknown"),
    ],
)
def test_a_teacher_that_did_not_see_it_by_its_card_is_warned_of(project: Any, data: str, warning: str) -> None:
    np.save(project.path / "all.npy", project.cast.rows)
    declare(project, teacher=with_card(project, "teacher", data))
    project.gates(GATES)
    project.run(NOISE, "--kdmem-report=audit.json")
    report = project.report("audit.json")
    assert [gate.outcome for gate in report.gates] == ["pass", "pass", "fail"]
    about_teacher = [
        each
        for each in report.warnings
        if each.startswith("according to its run card, teacher was trained on") and "windows of" not in each
    ]
    assert len(about_teacher) == bool(warning)
    assert all(warning in each for each in about_teacher)


def test_parts_and_workers_give_the_record_of_one_run(project: Any) -> None:
    project.gates(GATES)
    for part in ("1/2", "2/2"):
        project.run(NOISE, f"--kdmem-shard={part}").assert_outcomes(skipped=3)
    project.run(NOISE, "--kdmem-report=alone.json")
    project.run_workers(2, NOISE, "--kdmem-report=apart.json")
    alone, apart = (project.report(name).to_json() for name in ("alone.json", "apart.json"))
    for report in (alone, apart):
        report["gates"].sort(key=lambda gate: gate["nodeid"])
    for key in ("figures", "teacher_set", "memorization", "gates"):
        assert alone[key] == apart[key]


def test_each_of_several_students_is_held_to_it(project: Any) -> None:
    declare(project, student=None)
    cast = project.cast
    both = f"return {{'small': Model({str(cast.student)!r}), 'large': Model({str(cast.teacher)!r})}}"
    extend(project, fixture("students", both))
    project.gates(RATE)
    project.run(NOISE, "--kdmem-report=audit.json").assert_outcomes(passed=1, failed=1)
    audits = read_report(project.path / "audit.json").audits
    recited_by = {each.student: figures(each)["recited", "student"].k for each in audits}
    assert recited_by == {"small": len(recited(project, "student")), "large": len(recited(project, "teacher"))}


def test_a_comparison_that_is_never_made_is_a_gate_not_held(project: Any) -> None:
    project.gates(
        """
        def test_ratio(memorization, inheritance, student, teacher_set):
            assert memorization(student).rate <= 1
            if student.source == "no":
                assert inheritance(training_set=teacher_set).ratio <= 0.1
        """
    )
    assert project.run(NOISE).ret == NOT_DECIDED


def test_its_rates_can_be_accepted_and_what_is_left_out_must_be_as_then(project: Any) -> None:
    project.gates(
        "def test_rate(memorization, student, teacher_set, accepted):\n"
        "    assert memorization(student, teacher_set).rate <= accepted\n"
    )
    accepted = "--kdmem-baseline-file=accepted.json"
    assert project.run(NOISE, accepted, "--kdmem-update-baseline-file").ret == 0
    assert project.run(NOISE, accepted).ret == 0
    np.save(project.path / "train.npy", project.cast.rows[[*STUDENTS, 11]])
    result = project.run(NOISE, accepted)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*cannot be compared with what was accepted*"])


def test_groups_of_it_are_told(project: Any) -> None:
    cast = project.cast
    rows = [{"text": cast.texts[row], "owner": "a" if row < 6 else "b"} for row in [*TEACHERS, *HELD]]
    (project.path / "teacher.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    declare(project, 'TrainingSet("teacher.jsonl", group_column="owner")')
    project.gates(
        """
        def test_owner(memorization, student, teacher_set):
            by_group = memorization(student, teacher_set).by_group
            assert (by_group["a"].count, len(by_group["a"].memorized)) == (0, 6)
            assert (by_group["b"].count, len(by_group["b"].memorized)) == (4, 5)
            assert by_group <= 0.8
        """
    )
    assert project.run(NOISE).ret == 0


def test_groups_of_a_sample_are_told_without_what_is_left_out(project: Any) -> None:
    cast = project.cast
    rows = [{"text": cast.texts[row], "owner": "a" if row < 6 else "b"} for row in [*HELD, *HELD, *TEACHERS, *TEACHERS]]
    rows.append({"text": cast.texts[12], "owner": "c"})
    (project.path / "teacher.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    declare(project, 'TrainingSet("teacher.jsonl", group_column="owner", sample=14)')
    project.gates(
        """
        def test_owner(memorization, inheritance, student, teacher_set):
            memorization = memorization(student, teacher_set)
            by_group = memorization.by_group
            assert (by_group["a"].count, len(by_group["a"].memorized)) == (0, 6)
            assert (by_group["b"].count, len(by_group["b"].memorized)) == (4, 5)
            assert by_group.not_looked_at == ("c",)
            assert memorization.copies.tolist() == [2] * 11
            assert inheritance(training_set=teacher_set).by_group["a"].teacher.memorized.sum() == 3
            assert by_group["a"].rate <= 0.8
        """
    )
    result = project.run(NOISE, "--kdmem-report=audit.json")
    assert result.ret == 0, result.outlines
    further = further_warnings(project.report("audit.json"))
    [warning] = [each for each in further if "looked at" in each and "student" not in each]
    assert "c" in warning
    declare(project, 'TrainingSet("teacher.jsonl", group_column="owner", sample=9, stratify="group")')
    project.run(NOISE).stdout.fnmatch_lines(["*A teacher set without strata was expected*"])


def test_python_measures_all_that_is_declared(project: Any) -> None:
    models = {role: str(getattr(project.cast, role)) for role in ("teacher", "baseline", "student")}
    sets = {
        f"{name}_set": str(project.path / f"{file}.npy") for name, file in (("training", "train"), ("teacher",) * 2)
    }
    lengths = {"prefix_tokens": PREFIX, "suffix_tokens": SUFFIX}
    report = audit(**models, **sets, **lengths, cache_dir=project.path / ".kdmem", accept_reading="noise")  # type: ignore[arg-type]
    [result] = report.record.audits
    assert (figures(result)["inheritance ratio", "student"].k, figures(result)["recited", "teacher"].k) == (1, 7)
    assert result.teacher_set.in_training_set == 3


def test_inheritance_over_it_can_be_accepted_until_the_training_set_holds_other_text_of_it(project: Any) -> None:
    project.configure(kdmem_baseline_file="accepted.json")
    project.gates(
        """
        def test_ratio(inheritance, teacher_set, accepted):
            assert inheritance(training_set=teacher_set).ratio <= accepted

        def test_reduction(inheritance, teacher_set, accepted):
            assert inheritance(training_set=teacher_set).reduction >= accepted

        def test_rate(memorization, student, teacher_set, accepted):
            assert memorization(student, teacher_set).rate <= accepted
        """
    )
    project.run(NOISE, "--kdmem-update-baseline-file").assert_outcomes(passed=3)
    project.run(NOISE).assert_outcomes(passed=3)
    np.save(project.path / "train.npy", project.cast.rows[[*STUDENTS, 11]])
    result = project.run(NOISE)
    result.assert_outcomes(errors=3)
    assert "another teacher set than was accepted" in "\n".join(result.outlines)
