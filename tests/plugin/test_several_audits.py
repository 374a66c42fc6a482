"""Audits of several folders in one session: each has its own models, rows, gates and section, and none is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.audit.report import Report, read_report

RATE = """
def test_rate(memorization, student):
    assert memorization(student).rate <= {rate}
"""
# Tests of one session in an order in which pytest would never collect them.
SHUFFLE = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (item.name, item.path))
"""


@pytest.fixture
def folder(audit_project):
    """Writes a folder of audits: what its conftest declares by name and source, and its tests."""
    header = "import pytest\nfrom pytest_kdmem import Model, TrainingSet\n"

    def write(name: str, tests: str, declared: str = "", **models: str | Path) -> None:
        path = audit_project.path / name
        path.mkdir(parents=True, exist_ok=True)
        fixtures = [
            f'@pytest.fixture(scope="session")\ndef {role}():\n    return Model({str(getattr(audit_project.cast, str(source), source))!r})\n'  # noqa: E501
            for role, source in models.items()
        ]
        (path / "conftest.py").write_text("\n".join([header, *fixtures, declared]))
        (path / f"test_{path.name}.py").write_text(tests)

    return write


@pytest.fixture
def two(audit_project, folder):
    """Audits of two students under one teacher, baseline and training set, all gates green."""
    audit_project.declare(student=None)
    folder("audits/a", RATE.format(rate=0.25), student="student")
    folder("audits/b", RATE.format(rate=0.35), student="teacher")
    return audit_project


def extend(project, source: str) -> None:
    """Add to the conftest of the root."""
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + source)


def read(project) -> Report:
    return read_report(project.path / "audit.json")


def recited(report: Report) -> dict[str, int]:
    """Examples that each audit's student recites, by the audit's name."""
    return {audit.name: audit.memorization["student"].k for audit in report.audits}


def test_each_folder_is_an_audit_of_its_own(two):
    result = two.run("--kdmem-report=audit.json")
    result.assert_outcomes(passed=2)
    written = json.loads((two.path / "audit.json").read_text())
    assert set(written) == {"schema_version", "audits"}
    report = read(two)
    assert recited(report) == {"audits/a": 5, "audits/b": 7}
    assert [[gate.nodeid for gate in audit.gates] for audit in report.audits] == [
        ["audits/a/test_a.py::test_rate"],
        ["audits/b/test_b.py::test_rate"],
    ]
    result.stdout.fnmatch_lines(["audits/a *", "*student *25.00%*", "audits/b *", "*student *35.00%*", "2 audits, 2*"])


def test_one_folder_alone_writes_one_audit_under_its_name(two):
    result = two.run("audits/b", "--kdmem-report=audit.json")
    written = json.loads((two.path / "audit.json").read_text())
    assert "audits" not in written
    assert written["name"] == "audits/b"
    assert recited(read(two)) == {"audits/b": 7}
    assert "1 audits" not in result.stdout.str()


def test_inheritance_is_of_the_folders_own_roles(audit_project, folder):
    gate = "def test_reduction(inheritance):\n    assert round(inheritance().reduction.value, 3) == {}\n"
    audit_project.declare(student=None, baseline=None)
    folder("a", gate.format(7 / 5), student="student", baseline="baseline")
    folder("b", gate.format(0.714), student="baseline", baseline="student")
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    cells = [audit.inheritance.cells for audit in read(audit_project).audits]
    assert [cell["teacher+student"] for cell in cells] == [1, 1]
    assert [cell["teacher+baseline"] for cell in cells] == [1, 1]
    assert [cell["student"] for cell in cells] == [1, 3]


def test_a_failure_fails_its_own_audit_and_the_session(two, folder):
    folder("audits/b", RATE.format(rate=0.1), student="teacher")
    result = two.run("--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [len(audit.failed) for audit in read(two).audits] == [0, 1]
    result.stdout.fnmatch_lines(["2 audits, 2 gates, not passed: 1 in audits/b"])
    quiet = two.run("-q").stdout.str()
    assert "audits/a ─" not in quiet
    assert "audits/b ─" in quiet


def test_a_broken_declaration_breaks_its_own_audit_alone(two, folder):
    folder("audits/a", RATE.format(rate=1), student="no/such/folder")
    result = two.run("--kdmem-report=audit.json")
    result.assert_outcomes(passed=1, errors=1)
    assert [[gate.outcome for gate in audit.gates] for audit in read(two).audits] == [["error"], ["pass"]]


ASKED = 'request.getfixturevalue("{}")'


@pytest.mark.parametrize(
    ("arguments", "model", "scorer"),
    [
        ("memorization, student", "student", "memorization"),
        ("request, student", "student", ASKED.format("memorization")),
        ("request, memorization", ASKED.format("student"), "memorization"),
        ("request", ASKED.format("student"), ASKED.format("memorization")),
    ],
)
def test_a_session_fixture_of_the_users_is_made_anew_for_each_audit(two, folder, arguments, model, scorer):
    extend(
        two,
        f"""
@pytest.fixture(scope="session")
def rate({arguments}):
    return {scorer}({model}).rate
""",
    )
    gate = "def test_rate(rate, thresholds):\n    assert rate <= {}\n"
    folder("audits/a", gate.format(0.25), student="student")
    folder("audits/b", gate.format(0.25), student="teacher")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=1, failed=1)
    report = read(two)
    # A student that no test asks for by name is called by its folder's.
    assert [[estimate.k for estimate in audit.memorization.values()] for audit in report.audits] == [[5], [7]]
    assert [audit.gates[0].outcome for audit in report.audits] == ["pass", "fail"]


def test_a_session_fixture_made_of_a_role_alone_is_made_anew_too(two, folder):
    extend(two, '\n@pytest.fixture(scope="session")\ndef released(student):\n    return student\n')
    gate = "def test_rate(memorization, released):\n    assert memorization(released).rate.k == {}\n"
    folder("audits/a", gate.format(5), student="student")
    folder("audits/b", gate.format(7), student="teacher")
    two.run().assert_outcomes(passed=2)


def test_a_role_made_of_what_a_folder_overrides_is_that_folders(two, folder):
    folders = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    extend(two, f"""
@pytest.fixture(scope="session")
def family(): return "student"

@pytest.fixture(scope="session")
def student(family): return Model({folders}[family])
""")  # fmt: skip
    named = '@pytest.fixture(scope="session")\ndef family(): return "{}"\n'
    gate = "def test_rate(memorization, student):\n    assert memorization(student).rate.k == {}\n"
    folder("audits/a", gate.format(7), named.format("teacher"))
    folder("audits/b", gate.format(5), named.format("student"))
    folder("audits/c", gate.format(5))
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=3)
    assert recited(read(two)) == {"audits/a": 7, "audits/b": 5, "": 5}


def test_a_folder_may_change_what_another_declares(two, folder):
    changed = '@pytest.fixture(scope="session")\ndef training_set(training_set):\n    return TrainingSet("less.npy")\n'
    np.save(two.path / "less.npy", two.cast.rows[:4])
    folder("audits/a/less", "def test_n(memorization, student):\n    assert memorization(student).rate.n == 4", changed)
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=3)
    assert {audit.name: audit.training_set.distinct for audit in read(two).audits} == {
        "audits/a": 20,
        "audits/a/less": 4,
        "audits/b": 20,
    }


def test_a_module_and_a_class_may_declare_their_own(audit_project):
    cast = audit_project.cast
    audit_project.gates(f"""
        import pytest
        from pytest_kdmem import Model

        def test_plain(memorization, student):
            assert memorization(student).rate.k == 5

        class TestOther:
            @pytest.fixture(scope="session")
            def student(self):
                return Model({str(cast.teacher)!r})

            def test_own(self, memorization, student):
                assert memorization(student).rate.k == 7
    """)
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    assert recited(read(audit_project)) == {"": 5, "test_audit.py::TestOther": 7}


def test_tests_of_several_audits_in_turn_keep_apart(two, folder):
    extend(two, SHUFFLE)
    tests = "".join(
        f"def test_{at}(memorization, student):\n    assert memorization(student).rate.k == {{0}}\n" for at in range(3)
    )
    folder("audits/a", tests.format(5), student="student")
    folder("audits/b", tests.format(7), student="teacher")
    result = two.run("-v", "--kdmem-report=audit.json")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["audits/a*test_0 *", "audits/b*test_0 *", "audits/a*test_1 *"])
    assert recited(read(two)) == {"audits/a": 5, "audits/b": 7}
    assert [len(audit.gates) for audit in read(two).audits] == [3, 3]


def test_a_role_that_is_another_the_second_time_is_an_error(two, folder):
    extend(two, SHUFFLE)
    tests = "".join(f"def test_{at}(memorization, student):\n    memorization(student)\n" for at in range(2))
    models = [str(two.cast.student), str(two.cast.baseline)]
    changing = f'given = {models}\n@pytest.fixture(scope="session")\ndef student(): return Model(given.pop())\n'
    folder("audits/a", tests, changing)
    folder("audits/b", tests, student="teacher")
    result = two.run()
    result.assert_outcomes(passed=3, errors=1)
    assert "The same models and sets were expected of audits/a" in result.stdout.str()


@pytest.mark.parametrize("place", ["option", "environment"])
def test_a_student_named_for_the_run_would_replace_each_folders_own(two, monkeypatch, place):
    stale = two.path / "audit.json"
    stale.write_text("of another run")
    other = str(two.cast.baseline)
    if place == "environment":
        monkeypatch.setenv("KDMEM_STUDENT", other)
    named = [f"--kdmem-student={other}"] if place == "option" else []
    result = two.run(*named, "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = result.stdout.str() + result.stderr.str()
    select = "pytest audits/a --kdmem-student …" if place == "option" else "KDMEM_STUDENT=… pytest audits/a"
    for part in ("audits/a, audits/b", select):
        assert part in output
    assert not stale.exists()
    assert len(two.shards) == 3  # of the store that the project began with
    two.run("audits/b", *named, "--kdmem-report=audit.json").assert_outcomes(passed=1)
    assert read(two).audits[0].models["student"].source == other


def test_a_model_that_the_audits_share_may_be_named_for_all(two, folder):
    tests = "def test_rate(memorization, baseline, student):\n    assert memorization(baseline).rate.k == 5\n"
    folder("audits/a", tests, student="student")
    folder("audits/b", tests, student="teacher")
    two.run(f"--kdmem-baseline={two.cast.student}").assert_outcomes(passed=2)


def test_a_training_set_named_for_the_run_is_that_of_all(two, folder):
    np.save(two.path / "less.npy", two.cast.rows[:4])
    for name, source in (("a", "student"), ("b", "teacher")):
        folder(f"audits/{name}", RATE.format(rate=1), student=source)
    two.run("--kdmem-training-set=less.npy", "--kdmem-report=audit.json").assert_outcomes(passed=2)
    assert [audit.training_set.distinct for audit in read(two).audits] == [4, 4]


def test_models_of_the_configuration_are_an_audit_beside_those_of_a_folder(audit_project, folder):
    audit_project.declare(student=None)
    audit_project.configure(kdmem_student=str(audit_project.cast.student))
    folder("plain", RATE.format(rate=0.25))
    folder("other", RATE.format(rate=0.35), student="teacher")
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    assert recited(read(audit_project)) == {"other": 7, "": 5}


def test_an_audit_of_which_nothing_was_held_stands_in_the_report(two, folder):
    folder("audits/a", RATE.format(rate=0), student="student")
    result = two.run("-x", "--kdmem-report=audit.json")
    assert [audit.not_run for audit in read(two).audits] == [(), ("audits/b/test_b.py::test_rate",)]
    result.stdout.fnmatch_lines(["*audits/b/test_b.py::test_rate: not run*"])


@pytest.mark.parametrize(
    "parameters",
    [
        '@pytest.fixture(scope="session", params=["student", "teacher"])\ndef family(request): return request.param\n',
        "",
    ],
    ids=["a fixture's", "a test's"],
)
def test_an_audit_whose_models_vary_within_it_is_an_error(two, folder, parameters):
    sources = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    own = parameters or '@pytest.fixture(scope="session")\ndef family(): return "student"\n'
    own += f'@pytest.fixture(scope="session")\ndef student(family): return Model({sources}[family])\n'
    marked = '@pytest.mark.parametrize("family", ["student", "teacher"], scope="session")\n' * (not parameters)
    folder("audits/a", f"import pytest\n{marked}{RATE.format(rate=1).lstrip()}", own)
    result = two.run()
    result.assert_outcomes(passed=1, errors=2)
    assert "without parameters" in result.stdout.str()


def test_other_tests_between_audits_take_nothing_down(two, folder):
    extend(two, SHUFFLE)
    extend(two, '\n@pytest.fixture(scope="session")\ndef once(): print("set up once"); return 1\n')
    extend(two, '\n@pytest.fixture(scope="session")\ndef teacher_of_unit_tests(once): return 1\n')
    (two.path / "audits" / "test_unit.py").write_text(
        "def test_0(once): pass\ndef test_1(once, teacher_of_unit_tests): pass\n"
    )
    tests = "".join(f"def test_{at}(memorization, student, once): memorization(student)\n" for at in range(2))
    folder("audits/a", tests, student="student")
    folder("audits/b", tests, student="teacher")
    result = two.run("-s")
    result.assert_outcomes(passed=6)
    assert result.stdout.str().count("set up once") == 1


def test_tests_that_are_not_python_stand_between_audits_unharmed(two):
    extend(
        two,
        """
class Other(pytest.Item):
    def runtest(self): pass

class File(pytest.File):
    def collect(self): yield Other.from_parent(self, name="other")

def pytest_collect_file(file_path, parent):
    return File.from_parent(parent, path=file_path) if file_path.suffix == ".other" else None
""",
    )
    (two.path / "audits" / "a" / "z.other").touch()
    two.run().assert_outcomes(passed=3)


def test_two_workers_give_the_report_of_one_process(two, folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tests = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.25

def test_baseline(memorization, baseline, control):
    assert memorization(baseline).rate <= 1

def test_teacher(memorization, teacher):
    assert memorization(teacher).rate <= 1
""".replace(", control", "")
    folder("audits/a", tests, student="student")
    folder("audits/b", tests, student="teacher")
    apart = two.pytester.runpytest_subprocess("-n", "2", "--kdmem-report=apart.json")
    alone = two.run("--kdmem-cache-dir=elsewhere", "--kdmem-report=alone.json")
    for result in (apart, alone):
        result.assert_outcomes(passed=5, failed=1)
    reports = [json.loads((two.path / name).read_text()) for name in ("apart.json", "alone.json")]
    for report in reports:
        for audit in report["audits"]:
            del audit["created"]
            assert audit["settings"].pop("report")
            audit["settings"].pop("cache_dir", None)
            for gate in audit["gates"]:
                gate["command"] = gate["command"].replace(" --kdmem-cache-dir=elsewhere", "")
    assert [audit["name"] for audit in reports[0]["audits"]] == ["audits/a", "audits/b"]
    assert reports[0] == reports[1]


def test_a_student_named_for_several_audits_is_refused_by_workers_too(two):
    result = two.pytester.runpytest_subprocess("-n", "2", f"--kdmem-student={two.cast.baseline}")
    result.assert_outcomes(errors=2)
    assert "several audits declare their own" in result.stdout.str() + result.stderr.str()
    assert len(two.shards) == 3  # of the store that the project began with


GATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= {}\n"
RELEASED = '\n@pytest.fixture(scope="session")\ndef released(student):\n    return student\n'


def fixture(name: str, body: str, arguments: str = "") -> str:
    return f'\n@pytest.fixture(scope="session")\ndef {name}({arguments}):\n    {body}\n'


@pytest.mark.parametrize(
    ("outside", "autouse"),
    [
        ("def test_unit(released):\n    assert released.source\n", ""),
        ("def test_unit(request):\n    assert request.getfixturevalue('released').source\n", ""),
        ("def test_unit():\n    pass\n", fixture("announced", "pass", "released")),
    ],
    ids=["asks", "asks at run time", "autouse"],
)
def test_what_a_test_that_is_no_audit_set_up_is_made_anew(two, folder, outside, autouse):
    extend(two, RELEASED + autouse.replace(")", ", autouse=True)", 1))
    folder("audits/a", outside, student="student")
    folder("audits/b", GATE.format(0.25).replace("student", "released"), student="teacher")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=1, failed=1)


def test_whatever_a_folder_changes_is_judged_by_in_it(two, folder):
    extend(two, fixture("limit", "return thresholds.max_memorization_rate", "thresholds"))
    extend(two, fixture("half", "return whole / 2", "whole") + fixture("whole", "return 1"))
    gate = (
        "def test_rate(memorization, student, limit, half):\n    assert memorization(student).rate <= min(limit, half)"
    )
    own = "\nfrom pytest_kdmem import Thresholds\n"
    folder("audits/a", gate, own + fixture("thresholds", "return Thresholds(0.9)"), student="student")
    folder("audits/b", gate, own + fixture("thresholds", "return Thresholds(0.01)"), student="student")
    folder("audits/c", gate, own + fixture("thresholds", "return Thresholds(0.9)"), student="student")
    folder("audits/d", gate, own + fixture("thresholds", "return Thresholds(0.9)"), student="student")
    with (two.path / "audits/c/conftest.py").open("a") as file:
        file.write(fixture("whole", "return 0.02"))
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=2, failed=2)
    assert [len(audit.failed) for audit in read(two).audits] == [0, 1, 1, 0]


def test_a_change_that_an_audit_in_between_has_no_part_in_is_not_forgotten(two, folder):
    extend(two, fixture("half", "return whole / 2", "whole") + fixture("whole", "return 1"))
    gate = "def test_rate(memorization, student, half):\n    assert memorization(student).rate <= half\n"
    folder("audits/a", gate, student="student")
    folder("audits/b", GATE.format(0.35), student="teacher")
    folder("audits/c", gate, fixture("whole", "return 0.02"), student="student")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=2, failed=1)
    assert [len(audit.failed) for audit in read(two).audits] == [0, 0, 1]


def test_a_role_made_at_run_time_of_what_folders_change_is_never_anothers(two, folder):
    sources = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    extend(two, fixture("student", f'return Model({sources}[request.getfixturevalue("family")])', "request"))
    for name, family in (("a", "student"), ("b", "teacher")):
        folder(f"audits/{name}", GATE.format(0.25), fixture("family", f"return {family!r}"))
    result = two.run()
    result.assert_outcomes(passed=1, errors=1)
    assert "The same models and sets were expected" in result.stdout.str()


def test_a_fixture_that_asks_later_asks_for_each_audit(two, folder):
    extend(two, fixture("pick", "return lambda role: request.getfixturevalue(role)", "request"))
    gate = "def test_rate(memorization, pick):\n    assert memorization(pick('student')).rate.k == {}\n"
    folder("audits/a", gate.format(5), student="student")
    folder("audits/b", gate.format(7), student="teacher")
    folder("audits/c", gate.format(5), student="student")
    two.run().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("asked_before", "message"),
    [("", "by a request that was kept from another test"), (", student", "has already been torn down")],
)
def test_a_request_that_is_kept_beyond_its_test_gives_no_other_audit_its_models(two, folder, asked_before, message):
    two.pytester.makepyfile(kept="requests = []\n")
    keep = f"import kept\ndef test_kept(memorization, request{asked_before}):\n    kept.requests.append(request)\n"
    take = "memorization(kept.requests[0].getfixturevalue('student'))"
    folder("audits/a", keep, student="student")
    folder("audits/b", f"import kept\ndef test_rate(memorization):\n    {take}\n", student="teacher")
    result = two.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert message in result.stdout.str()
    assert len(two.shards) == 3  # of the store that the project began with


def test_memorization_that_is_kept_beyond_its_test_scores_nothing_for_another_audit(two, folder):
    two.pytester.makepyfile(kept="functions = []\n")
    keep = "import kept\ndef test_kept(memorization):\n    kept.functions.append(memorization)\n"
    folder("audits/a", keep, student="student")
    gate = "import kept\ndef test_rate(memorization, student):\n    assert kept.functions[0](student).rate <= 1\n"
    folder("audits/b", gate, student="teacher")
    result = two.run()
    result.assert_outcomes(passed=1, errors=1)
    assert "An audit of audits/b/test_b.py::test_rate was expected" in result.stdout.str()


def test_a_fixture_that_asks_for_a_parameter_is_set_up_for_each(two, folder):
    models = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    body = f'return memorization(Model({models}[request.getfixturevalue("name")])).rate.k'
    extend(two, fixture("recited", body, "memorization, request"))
    tests = """
import pytest

@pytest.mark.parametrize(("name", "expected"), [("student", 5), ("teacher", 7)], scope="session")
def test_rate(name, expected, recited):
    assert recited == expected

@pytest.mark.parametrize("name", ["teacher"], scope="session")
def test_other(name, recited):
    assert recited == 7
"""
    folder("audits/a", tests, student="student")
    (two.path / "audits/b/test_b.py").unlink()
    two.run().assert_outcomes(passed=3)


@pytest.mark.parametrize("place", ["module", "class"])
def test_a_fixture_that_asks_later_is_set_up_for_each_place_that_declares(audit_project, place):
    cast = audit_project.cast
    extend(audit_project, fixture("recited", "return memorization(request.getfixturevalue('model')).rate.k",
           "memorization, request") + fixture("model", f"return Model({str(cast.student)!r})"))  # fmt: skip
    own = f"""
    @pytest.fixture(scope="session")
    def model({"self" * (place == "class")}):
        return Model({str(cast.teacher)!r})

    def test_rate({"self, " * (place == "class")}recited):
        assert recited == 7
"""
    header = "import pytest\nfrom pytest_kdmem import Model\n"
    plain = "def test_plain(recited):\n    assert recited == 5\n"
    declared = "class TestOwn:" + own if place == "class" else own.replace("\n    ", "\n")
    audit_project.pytester.makepyfile(test_a=plain, test_b=header + declared, test_c=plain)
    audit_project.run().assert_outcomes(passed=3)


def test_the_distiller_learns_from_the_folders_own_teacher(two, folder):
    fake = "def fake(recipe, *, init, teacher, training_set, **how): return teacher\n"
    extend(two, f"\nimport pytest_kdmem.distill.run as run\n{fake}run.distill_once = fake\n")
    named = fixture("student", "return distiller(init=Model('none'), teacher=teacher)", "distiller, teacher")
    asked = fixture("student", "return distiller(init=Model('none'))", "distiller")
    folder("audits/a", GATE.format(1), named, teacher="teacher")
    folder("audits/b", GATE.format(1), asked, teacher="student")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    assert recited(read(two)) == {"audits/a": 7, "audits/b": 5}


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "after an audit"])
def test_a_test_that_is_not_known_for_an_audit_is_handed_none(two, folder, beside):
    hidden = "def test_z(request):\n    request.getfixturevalue('memorization')\n"
    folder("audits/a", GATE.format(1) * beside + hidden, student="student")
    (two.path / "audits/b/test_b.py").unlink()
    result = two.run()
    result.assert_outcomes(passed=int(beside), failed=1)
    assert "memorization was expected among the arguments of audits/a/test_a.py::test_z" in result.stdout.str()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audits/b", "audits/a"], "both hold test_gates.py::test_rate"),
        (["audits"], "lies outside the root"),
        (["audits/a"], ""),
        (["audits", "--rootdir=."], ""),
    ],
)
def test_a_root_elsewhere_mixes_no_audits(two, folder, arguments, message):
    (two.path / "ci").mkdir()
    (two.path / "ci" / "pytest.ini").write_text("[pytest]\nkdmem_prefix_tokens=12\nkdmem_suffix_tokens=8\n")
    for name, student in (("a", "student"), ("b", "teacher")):
        folder(f"audits/{name}", "", student=student)
        (two.path / f"audits/{name}/test_{name}.py").unlink()
        (two.path / f"audits/{name}/test_gates.py").write_text(GATE.format(1))
    result = two.run("-c", "ci/pytest.ini", "--import-mode=importlib", "--kdmem-training-set=data.npy", *arguments)
    output = result.stdout.str() + result.stderr.str()
    assert message in output
    assert (result.ret == pytest.ExitCode.OK) == (not message)
    assert ("add --rootdir=" in output) == bool(message)
