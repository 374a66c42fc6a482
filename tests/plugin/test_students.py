"""Several students of one audit: every gate is held for each under its name, and none of them is left out unseen."""

from __future__ import annotations

import json
import shutil

import pytest

from pytest_kdmem import audit
from pytest_kdmem.auditing.report import Report, read_report
from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from tests.api.test_audit import LENGTHS, OF_PLACES, STARTER, THRESHOLDS
from tests.audit_project import further_warnings
from tests.plugin.audit_folders import extend, fixture

GATES = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.3

def test_reduction(inheritance):
    assert inheritance().reduction >= 0.7
"""
# The first recites 5 of the 20 rows, the second 7, as does the baseline.
BOTH = "return {'small': Model(%r), 'large': Model(%r)}"


@pytest.fixture
def students(audit_project):
    """An audit of two students, of which the second recites too much."""
    declare(audit_project)
    audit_project.gates(GATES)
    return audit_project


def declare(project, body: str | None = None, arguments: str = "") -> None:
    project.declare(student=None)
    both = BOTH % (str(project.cast.student), str(project.cast.teacher))
    extend(project, fixture("students", body or both, arguments))


def outcomes(report: Report) -> dict[str, list[str]]:
    return {result.student: [gate.outcome for gate in result.gates] for result in report.audits}


def run(project, *arguments: str) -> tuple[pytest.RunResult, Report]:
    result = project.run("--kdmem-report=audit.json", *arguments)
    return result, read_report(project.path / "audit.json")


def test_every_gate_is_held_for_each_student(students):
    result, report = run(students, "-v")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(report) == {"small": ["pass", "pass"], "large": ["fail", "pass"]}
    assert [each.name for each in report.audits] == ["[small]", "[large]"]
    assert [each.memorization["student"].k for each in report.audits] == [5, 7]
    assert [each.inheritance.reduction.value for each in report.audits] == [7 / 5, 1.0]
    assert students.failures(result)[0].startswith("FAILED test_audit.py::test_rate[large]")
    content = json.loads((students.path / "audit.json").read_text())
    assert [(row["name"], row["gates"], row["failed"]) for row in content["students"]] == [
        ("small", 2, 0),
        ("large", 2, 1),
    ]


def test_python_gives_the_same_record(students):
    students.configure(**{f"kdmem_{name}": value for name, value in THRESHOLDS.items()})
    students.gates(STARTER)
    _, written = run(students)
    cast = students.cast
    report = audit(
        students={"small": cast.student, "large": cast.teacher},
        teacher=cast.teacher,
        baseline=cast.baseline,
        training_set=students.path / "data.npy",
        cache_dir=students.path / ".kdmem",
        gates=THRESHOLDS,
        **LENGTHS,
    )
    assert [without_places(each) for each in report.record.audits] == [without_places(each) for each in written.audits]


def without_places(result) -> dict:
    content = json.loads(json.dumps(result.to_json()))
    del content["created"], content["settings"], content["training_set"]["source"]
    content["gates"] = [{key: gate[key] for key in gate.keys() - set(OF_PLACES)} for gate in content["gates"]]
    return content


def test_a_test_about_no_student_is_held_once(students):
    students.gates(GATES + "\ndef test_teacher(memorization, teacher):\n    assert memorization(teacher).rate <= 1\n")
    result, report = run(students)
    result.assert_outcomes(passed=4, failed=1)
    assert outcomes(report) == {"small": ["pass", "pass"], "large": ["fail", "pass"], "": ["pass"]}


@pytest.mark.parametrize("arguments", [("-k", "small"), ("--deselect=test_audit.py::test_rate[large]",)], ids=str)
def test_a_student_that_is_left_out_is_not_released(students, arguments):
    students.gates(GATES.replace("0.3", "0.4"))
    result, report = run(students, *arguments)
    assert result.ret == NOT_DECIDED
    assert "test_audit.py::test_rate[large]" in [nodeid for each in report.audits for nodeid in each.not_run]
    assert [each.student for each in report.audits] == ["small", "large"]


def test_a_student_that_is_asked_for_by_its_id_alone_is_not_released(students):
    result, report = run(students, "test_audit.py::test_rate[small]", "test_audit.py::test_reduction[small]")
    result.assert_outcomes(passed=2)
    assert result.ret == NOT_DECIDED
    assert [each.narrowed for each in report.audits] == [True]


def test_a_run_that_ends_early_leaves_the_other_students_not_run(students):
    students.gates(GATES.replace("0.3", "0.1"))
    result, report = run(students, "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [len(each.gates) for each in report.audits] == [1, 0]
    assert [len(each.not_run) for each in report.audits] == [1, 2]


def test_students_may_be_a_list_of_folders(students):
    cast = students.cast
    declare(students, f"return [{str(cast.student)!r}, Model({str(cast.baseline)!r})]")
    _, report = run(students)
    assert [each.student for each in report.audits] == [cast.student.name, cast.baseline.name]


@pytest.mark.parametrize(
    ("body", "arguments", "message"),
    [
        ("return {}", "", "At least one model was expected as students"),
        ("return {'teacher': 'x'}", "", "no other role's; found 'teacher'"),
        ("return ['a/x', 'a/x']", "", "found 2 called x"),
        ("return {'a': 'x'}", "baseline", "without arguments, as the names of students are known before"),
        ("yield {'a': 'x'}", "", "without arguments, as the names of students are known before"),
    ],
)
def test_students_that_are_declared_wrongly_are_one_sentence(students, body, arguments, message):
    declare(students, body, arguments)
    result = students.run()
    assert result.ret not in (pytest.ExitCode.OK, NOT_DECIDED)
    assert message in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_one_student_and_several_are_not_declared_together(students):
    extend(students, fixture("student", f"return Model({str(students.cast.student)!r})"))
    result = students.run()
    assert result.ret not in (pytest.ExitCode.OK, NOT_DECIDED)
    result.stdout.fnmatch_lines(
        ["*Either one student or several students were expected for *; found a fixture student *"]
    )


@pytest.mark.parametrize("flag", ["--kdmem-student", "--kdmem-students"])
def test_what_is_named_for_a_run_is_not_mixed_with_what_is_declared(audit_project, students, flag):
    if flag == "--kdmem-students":
        students.declare()
    result = students.run(f"{flag}={students.cast.baseline}")
    assert result.ret not in (pytest.ExitCode.OK, NOT_DECIDED)
    assert "Either one student or several students were expected" in result.stdout.str()


def test_settings_name_students_too(students):
    students.declare(student=None)
    cast = students.cast
    students.configure(kdmem_students=[f"small={cast.student}", f"large={cast.teacher}"])
    _, report = run(students)
    assert outcomes(report) == {"small": ["pass", "pass"], "large": ["fail", "pass"]}
    _, other = run(students, f"--kdmem-students=only={cast.baseline}")
    assert [each.memorization["student"].k for each in other.audits] == [7]
    assert [gate.command.count("--kdmem-students=only=") for gate in other.audits[0].failed] == [1]
    result = students.run(f"--kdmem-student={cast.baseline}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Either one student or several students were expected" in result.stderr.str()


def test_students_that_are_one_model_are_told(students):
    students.declare(student=None)
    (students.path / "runs").mkdir()
    (students.path / "runs" / "small").symlink_to(students.cast.student)
    students.configure(kdmem_students=["runs/small", "again=runs/small"])
    _, report = run(students)
    assert [each.student for each in report.audits] == ["small", "again"]
    assert further_warnings(report.audits[0]) == ("students small and again are the same model",)


def test_students_that_are_named_for_a_run_and_not_compared_are_an_error(audit_project):
    audit_project.declare(student=None)
    audit_project.gates("def test_teacher(memorization, teacher):\n    assert memorization(teacher).rate <= 1\n")
    result = audit_project.run(f"--kdmem-students=a={audit_project.cast.student}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*--kdmem-students was expected to be used by a gate*use the fixture `student`*"])


def test_a_test_that_asks_for_the_student_while_it_runs_is_refused(students):
    students.gates(
        "def test_rate(memorization, request):\n    assert memorization(request.getfixturevalue('student')).rate <= 1\n"
    )
    result = students.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*student was expected among the arguments of test_audit.py::test_rate*"])


def test_students_of_two_folders_that_have_one_name_are_kept_apart(audit_project, folder):
    audit_project.declare(student=None)
    gate = "def test_rate(memorization, student):\n    assert memorization(student).rate.k == {}\n"
    for name, recited, student in (("a", 5, "student"), ("b", 7, "baseline")):
        body = f"return {{'same': Model({str(getattr(audit_project.cast, student))!r})}}"
        folder(f"audits/{name}", gate.format(recited), fixture("students", body))
    _, report = run(audit_project)
    assert {each.name: each.memorization["student"].k for each in report.audits} == {
        "audits/a[same]": 5,
        "audits/b[same]": 7,
    }
    assert not any(map(further_warnings, report.audits))


def test_a_fixture_that_is_made_of_the_student_is_made_anew_for_each(students):
    extend(students, fixture("rate", "return memorization(student).rate", "memorization, student"))
    students.gates("def test_rate(rate):\n    assert rate.k in (5, 7)\n    assert rate <= 0.3\n")
    _, report = run(students)
    assert outcomes(report) == {"small": ["pass"], "large": ["fail"]}


@pytest.mark.parametrize("scored", ["pass", "memorization(student)"], ids=["not scored", "scored"])
@pytest.mark.parametrize(("kept", "rate"), [("memorization(student)", ".rate"), ("memorization(student).rate", "")])
def test_a_figure_that_is_kept_of_one_student_is_not_compared_for_another(students, scored, kept, rate):
    students.gates(
        "figures = []\n\ndef test_rate(memorization, student):\n"
        f"    {scored}\n    if not figures:\n        figures.append({kept})\n    assert figures[0]{rate} <= 0.3\n"
    )
    result, report = run(students)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(report) == {"small": ["pass"], "large": ["error"]}
    assert "A figure of this audit's own student was expected to be compared" in report.audits[1].gates[0].reason


KEPT = """
figures = {}

def test_nearly(near_verbatim, student):
    assert figures.setdefault("nearly", near_verbatim(student, delta=0.25).rate) <= 1

def test_specific(specific_memorization, student):
    assert figures.setdefault("specific", specific_memorization(student).rate) <= 1

def test_copies(memorization, student):
    assert figures.setdefault("copies", memorization(student).by_copies["1"].rate) <= 1

def test_prefix(memorization, student):
    assert figures.setdefault("prefix", memorization(student, metrics="all").at_prefix(4).rate) <= 1

def test_run(memorization, student):
    assert figures.setdefault("run", memorization(student, metrics="all").longest_run) <= 20

def test_sampler(memorization, student):
    scored = memorization(student, metrics="all")
    assert figures.setdefault("sampler", scored.extractable(100, 0.5, temperature=0.02)) <= 1

def test_own_sampler(memorization, student):
    assert figures.setdefault("own sampler", memorization(student).extractable(100, 0.5)) <= 1
"""


def test_no_kind_of_figure_is_compared_for_another_student(students):
    students.gates(KEPT)
    result, report = run(students)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(report) == {"small": ["pass"] * 7, "large": ["error"] * 7}


def test_a_figure_that_is_kept_of_another_folder_is_not_compared(audit_project, folder):
    audit_project.declare(student=None)
    (audit_project.path / "kept.py").write_text("figures = []\n")
    gate = (
        f"import sys\nsys.path.insert(0, {str(audit_project.path)!r})\nfrom kept import figures\n\n"
        "def test_reduction(inheritance):\n    figures.append(inheritance())\n    assert figures[0].reduction >= 1.2\n"
    )
    folder("audits/a", gate, student="student")
    folder("audits/b", gate, student="teacher")
    result, report = run(audit_project)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert {each.name: [gate.outcome for gate in each.gates] for each in report.audits} == {
        "audits/a": ["pass"],
        "audits/b": ["error"],
    }


def test_each_of_several_students_is_compared(students):
    """As a test could take the first of them each time."""
    students.gates(
        "def test_rate(memorization, student, students):\n    assert memorization(students['small']).rate <= 0.3\n"
    )
    result, report = run(students)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(report) == {"small": ["pass"], "large": ["pass", "error"]}
    assert report.audits[1].failed[0].reason.startswith("A figure of student large was expected to be compared")


def test_inheritance_of_a_model_that_is_named_goes_on_to_work(students):
    students.gates(
        "from pytest_kdmem import Model\ndef test_reduction(inheritance):\n"
        f"    assert inheritance(student=Model({str(students.cast.student)!r})).reduction >= 1.2\n"
    )
    result, _ = run(students)
    result.assert_outcomes(passed=2)


def test_two_workers_give_the_report_of_one_process(students):
    apart = students.run_workers(2, "--kdmem-report=apart.json")
    apart.assert_outcomes(passed=3, failed=1)
    students.run("--kdmem-report=alone.json")
    reports = [json.loads((students.path / name).read_text()) for name in ("apart.json", "alone.json")]
    for report in reports:
        for each in report["audits"]:
            del each["created"], each["settings"]
    assert reports[0] == reports[1]


def test_a_school_has_students_of_its_own(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def students():
            return ["Ada", "Ben"]

        @pytest.fixture
        def student(students):
            return students[0]

        def test_name(student, students):
            assert student in students
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_student_that_a_test_names_has_a_column_beside_the_audits_own(audit_project):
    other = audit_project.path / "runs/other"
    shutil.copytree(audit_project.cast.teacher, other)
    audit_project.gates(
        "from pytest_kdmem import Model\n\n"
        "def test_own(inheritance):\n    assert inheritance().reduction >= 0.1\n\n"
        f"def test_other(inheritance):\n    assert inheritance(student=Model({str(other)!r})).reduction >= 0.1\n"
    )
    result, report = run(audit_project, "--kdmem-report=audit.md")
    (audited,) = report.audits
    (further,) = audited.further_inheritances
    assert (further.teacher, further.baseline, further.student) == ("teacher", "baseline", str(other))
    assert audited.inheritance.cells["all"] == 2
    assert further.inheritance.cells["all"] == 3  # it recites what the teacher does
    assert "| recited by | student | other |" in (audit_project.path / "audit.md").read_text()
    assert any(line.startswith("other: inherited") for line in result.outlines)
